package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
)

// A challenge to a passkey is sealed, not stored: nonce 16 | expires 8 | purpose 1 | whose 16, with a MAC, as credentials
// have it. Asking for one writes nothing, so there is nothing to fill up; whoever answers brings it back, inside what the
// authenticator has signed. A nonce is kept from its first good answer until the challenge would have expired, and that
// is how it is good once.
const (
	passkeyPrefix   = "crw_" // only in the MAC: the challenge goes without it
	passkeyBody     = 16 + 8 + 1 + 16
	passkeyLife     = 5 * time.Minute
	maxPasskeyBytes = 32 << 10 // of an answer; the largest honest ones have a tenth
)

// passkeyPurpose says what an answer will do. It is part of what is sealed.
type passkeyPurpose byte

const (
	passkeyRegister passkeyPurpose = 1 // for a person, a session and a factor
	passkeyLogin    passkeyPurpose = 2 // for whoever answers
	passkeySecond   passkeyPurpose = 3 // for a login whose password was right
	passkeyStepUp   passkeyPurpose = 4 // for a person and a session
	passkeySignup   passkeyPurpose = 5 // for a person to be, by the names they gave
)

// passkeyChallenge is an opened challenge.
type passkeyChallenge struct {
	nonce   [16]byte
	expires time.Time
}

// passkeyAsk is a question: for what, and whose answer it takes.
type passkeyAsk struct {
	purpose passkeyPurpose
	whose   [16]byte
}

func newPasskeyAsk(purpose passkeyPurpose, whose ...string) passkeyAsk {
	sum := sha256.Sum256([]byte("cloakroom passkey v1\x00" + strings.Join(whose, "\x00")))
	return passkeyAsk{purpose, [16]byte(sum[:16])}
}

func (a passkeyAsk) seal(mac MAC, now time.Time) (string, error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return a.sealAs(nonce, mac, now)
}

// sealAs is seal with a nonce that says something. It must be unique; that nobody can guess the challenge is the MAC's doing.
func (a passkeyAsk) sealAs(nonce [16]byte, mac MAC, now time.Time) (string, error) {
	body := append(make([]byte, 0, passkeyBody), nonce[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(now.Add(passkeyLife).UnixMicro()))
	body = append(append(body, byte(a.purpose)), a.whose[:]...)
	sealed, err := sealCredential(mac, passkeyPrefix, body)
	return strings.TrimPrefix(sealed.Reveal(), passkeyPrefix), err
}

// open takes a challenge that answers this very question, in time.
func (a passkeyAsk) open(mac MAC, challenge string, now time.Time) (c passkeyChallenge, ok bool) {
	body, ok := openCredential(mac, passkeyPrefix, passkeyBody, passkeyPrefix+challenge)
	if !ok {
		return c, false
	}
	c.nonce = [16]byte(body[:16])
	c.expires = time.UnixMicro(int64(binary.BigEndian.Uint64(body[16:24]))).UTC()
	same := body[24] == byte(a.purpose) && [16]byte(body[25:]) == a.whose
	return c, same && now.Before(c.expires)
}
