package trackit

import (
	"errors"
	"net/http"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

func (a api) login(w http.ResponseWriter, r *http.Request, k key) error {
	var in struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	err := dialect.Need(dialect.Field{Name: "username", Value: in.Username}, dialect.Field{Name: "password", Value: in.Password})
	if err != nil {
		return err
	}
	client := a.client(r)
	entry, err := a.Login(r, identity.LoginInput{Identifier: in.Username, Password: secret.NewString(in.Password), Client: client})
	if err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, newEntry("Authentication successful", entry, k.shown, client.DeviceName))
}

var errRefresh = fault.New(fault.InvalidRefreshToken, "Invalid or expired refresh token")

// refresh takes a refresh token together with the device it was given to, and with no other.
func (a api) refresh(w http.ResponseWriter, r *http.Request, _ key) error {
	var in struct {
		RefreshToken string `json:"refreshToken"`
		DeviceID     string `json:"deviceId"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	err := dialect.Need(dialect.Field{Name: "refreshToken", Value: in.RefreshToken}, dialect.Field{Name: "deviceId", Value: in.DeviceID})
	if err != nil {
		return err
	}
	tokens, err := a.Core.RefreshIf(r.Context(), secret.NewString(in.RefreshToken), a.client(r), func(s identity.Session) bool {
		return a.deviceID(s) == in.DeviceID
	})
	switch {
	case errors.Is(err, fault.Of(fault.InvalidRefreshToken)):
		return errRefresh
	case err != nil:
		return err
	}
	return dialect.Write(w, http.StatusOK, refreshed{
		Success: true, AccessToken: tokens.AccessToken.Reveal(), RefreshToken: tokens.RefreshToken.Reveal(), DeviceID: in.DeviceID,
	})
}

// check says whether the bearer's session holds. That it does not is an answer of this call, with its own words.
func (a api) check(w http.ResponseWriter, r *http.Request, _ key) error {
	caller, err := a.Caller(r)
	var seen identity.SessionCheck
	if err == nil {
		seen, err = a.Core.CheckSession(r.Context(), caller)
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.InvalidToken, fault.TokenExpired, fault.TokenStale:
		w.Header().Set("WWW-Authenticate", "Bearer")
		return dialect.Write(w, http.StatusUnauthorized, checked{Message: "Session expired or invalid"})
	}
	if err != nil {
		return err
	}
	device, err := a.deviceOfCaller(r, caller)
	if err != nil {
		return err
	}
	u := newUser(seen.User)
	return dialect.Write(w, http.StatusOK, checked{
		Success: true, IsAuthenticated: true, Message: "Session is valid", DeviceID: device, User: &u,
	})
}

var errNoDevice = fault.New(fault.NotFound, "Session not found")

// logout ends the sessions of one device of the bearer: of the one that is named, or else of the bearer's own.
func (a api) logout(w http.ResponseWriter, r *http.Request, _ key) error {
	caller, err := a.Caller(r)
	if err != nil {
		return err
	}
	var in struct {
		DeviceID string `json:"deviceId"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	if in.DeviceID == "" {
		if err := a.Core.Logout(r.Context(), caller); err != nil {
			return err
		}
		return dialect.Write(w, http.StatusOK, done{true, "Logged out successfully"})
	}
	all, err := a.sessionsOf(r, caller, caller.UserID)
	if err != nil {
		return err
	}
	ended, own := 0, false
	for _, s := range all {
		switch {
		case a.deviceID(s) != in.DeviceID:
			continue
		case s.ID == caller.SessionID:
			own = true // last, since it is what the others are ended by
		default:
			_, err = a.Core.RevokeSession(r.Context(), caller, s.ID)
		}
		if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
			return err
		}
		ended++
	}
	if ended == 0 {
		return errNoDevice
	}
	if own {
		if err := a.Core.Logout(r.Context(), caller); err != nil {
			return err
		}
	}
	return dialect.Write(w, http.StatusOK, done{true, "Logged out successfully"})
}

func (a api) logoutAll(w http.ResponseWriter, r *http.Request, _ key) error {
	caller, err := a.Caller(r)
	if err != nil {
		return err
	}
	if _, err := a.Core.LogoutAll(r.Context(), caller, false); err != nil {
		return err
	}
	return dialect.Write(w, http.StatusOK, done{true, "Logged out from all devices successfully"})
}

// sessions lists a person's sessions to a key that may read everybody's; to any other key only those of the bearer.
func (a api) sessions(w http.ResponseWriter, r *http.Request, k key) error {
	var in struct {
		UserID string `json:"userId"`
	}
	if err := dialect.Decode(w, r, &in); err != nil {
		return err
	}
	if err := dialect.Need(dialect.Field{Name: "userId", Value: in.UserID}); err != nil {
		return err
	}
	reader := k.owner
	if !reader.May("sessions", "read", false) {
		var err error
		if reader, err = a.Caller(r); err != nil {
			return err
		}
	}
	all, err := a.sessionsOf(r, reader, in.UserID)
	if err != nil {
		return err
	}
	out := sessionList{Success: true, Sessions: make([]session, len(all))}
	for i, s := range all {
		out.Sessions[i] = session{
			ID: s.ID, DeviceID: a.deviceID(s), CreatedAt: second(s.CreatedAt), LastRefreshAt: second(s.RefreshedAt), RefreshCount: s.RefreshCount(),
		}
	}
	return dialect.Write(w, http.StatusOK, out)
}

// sessionsOf lists all of a person's sessions; a policy bounds how many there can be.
func (a api) sessionsOf(r *http.Request, reader principal.Principal, userID string) (all []identity.Session, err error) {
	for after := (identity.Cursor{}); ; {
		page, err := a.Core.ListSessionsOf(r.Context(), reader, userID, after, pageSize)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if after = page.Next; after.IsZero() {
			return all, nil
		}
	}
}

// pageSize is how much is read of a list at a time.
const pageSize = 100
