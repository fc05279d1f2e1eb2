package trackit

import (
	"encoding/hex"
	"net/http"

	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
)

// deviceOf is the id of whoever comes with this user agent from this address: the same every time, and of no use to find out
// either.
func (a api) deviceOf(userAgent, address string) string {
	sum, ok := a.MAC.Sum(a.MAC.Current(), []byte("trackit device\x00"+userAgent+"\x00"+address))
	if !ok {
		return "" // the current key is always held
	}
	return hex.EncodeToString(sum[:deviceBytes])
}

const deviceBytes = 16

// deviceID is the device of a session. A session of TrackIt's has kept it from its sign-in; another one's follows from what is
// known of it now.
func (a api) deviceID(s identity.Session) string {
	if raw, err := hex.DecodeString(s.DeviceName); err == nil && len(raw) == deviceBytes && s.Policy == a.Policy {
		return s.DeviceName
	}
	return a.deviceOf(s.UserAgent, s.Address.String())
}

// deviceOfCaller is the device of the session that the caller comes with.
func (a api) deviceOfCaller(r *http.Request, caller principal.Principal) (string, error) {
	all, err := a.sessionsOf(r, caller, caller.UserID)
	for _, s := range all {
		if s.ID == caller.SessionID {
			return a.deviceID(s), nil
		}
	}
	return "", err
}
