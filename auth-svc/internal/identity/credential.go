package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"

	"cloakroom.dev/libs/secret"
)

// A credential of ours is a prefix that scanners of leaked secrets can find, and then, in base64url:
//
//	version 1 | MAC key 1 | body | MAC 16
//
// The body of a refresh token is session 16 | generation 8 | secret 32, that of an API key is key 16 | secret 32. The
// MAC covers the prefix and all before it, so one kind can't be taken for the other, and what we did not make is
// refused before the store is asked.
const (
	refreshPrefix = "crr_"
	apiKeyPrefix  = "crk_"

	credentialVersion = 1
	macBytes          = 16
	secretBytes       = 32

	refreshBody = 16 + 8 + secretBytes
	apiKeyBody  = 16 + secretBytes
)

// Strict: one token has one spelling, or a cache keyed by text could be walked around.
var credentialText = base64.RawURLEncoding.Strict()

var (
	errNoMACKey = errors.New("the current MAC key is missing from its own ring")
	errBadID    = errors.New("an id is not a UUID")
)

func sealCredential(mac MAC, prefix string, body []byte) (secret.String, error) {
	b := make([]byte, 0, 2+len(body)+macBytes)
	b = append(append(b, credentialVersion, mac.Current()), body...)
	sum, ok := mac.Sum(mac.Current(), append([]byte(prefix), b...))
	if !ok {
		return secret.String{}, errNoMACKey
	}
	return secret.NewString(prefix + credentialText.EncodeToString(append(b, sum[:macBytes]...))), nil
}

// openCredential returns the body of a credential that one of our keys has made.
func openCredential(mac MAC, prefix string, bodyBytes int, raw string) ([]byte, bool) {
	text, ok := strings.CutPrefix(raw, prefix)
	n := 2 + bodyBytes + macBytes
	if !ok || len(text) != credentialText.EncodedLen(n) {
		return nil, false
	}
	b, err := credentialText.DecodeString(text)
	if err != nil || len(b) != n || b[0] != credentialVersion {
		return nil, false
	}
	sum, ok := mac.Sum(b[1], append([]byte(prefix), b[:n-macBytes]...))
	if !ok || subtle.ConstantTimeCompare(sum[:macBytes], b[n-macBytes:]) != 1 {
		return nil, false
	}
	return b[2 : n-macBytes], true
}

// refreshToken is an opened refresh token.
type refreshToken struct {
	sessionID  string
	generation int64
	secret     [secretBytes]byte
}

func (t refreshToken) seal(mac MAC) (secret.String, error) {
	id, ok := parseID(t.sessionID)
	if !ok {
		return secret.String{}, errBadID
	}
	body := make([]byte, 0, refreshBody)
	body = append(body, id[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(t.generation))
	return sealCredential(mac, refreshPrefix, append(body, t.secret[:]...))
}

func openRefreshToken(mac MAC, raw string) (refreshToken, bool) {
	body, ok := openCredential(mac, refreshPrefix, refreshBody, raw)
	if !ok {
		return refreshToken{}, false
	}
	return refreshToken{
		sessionID:  formatID([16]byte(body[:16])),
		generation: int64(binary.BigEndian.Uint64(body[16:24])),
		secret:     [secretBytes]byte(body[24:]),
	}, true
}

func newSecret() (s [secretBytes]byte) {
	_, _ = rand.Read(s[:]) // never fails: crypto/rand ends the process rather than return weak bytes
	return s
}

func hashSecret(s [secretBytes]byte) [32]byte { return sha256.Sum256(s[:]) }

func sameHash(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// parseID reads a UUID in its usual text form, lower case.
func parseID(s string) (id [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || strings.ToLower(s) != s {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:]))
	return id, err == nil
}

func formatID(id [16]byte) string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}
