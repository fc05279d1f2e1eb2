package identitytest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// Hasher is a hasher that costs nothing and counts what it would have cost. Its hashes are one-way, as real ones are:
// a test may search a store for passwords.
type Hasher struct {
	Calls  atomic.Int64
	Kinds  atomic.Pointer[[]string] // the last that Expect was told
	During func()                   // runs while a password is verified; may be nil
	Full   atomic.Bool              // it is said to refuse at once
}

var _ identity.Hasher = (*Hasher)(nil)

// Refuses says so when the test wants it full.
func (h *Hasher) Refuses() error {
	if h.Full.Load() {
		return fault.Retry(fault.Overloaded, "full", time.Second)
	}
	return nil
}

// Hash counts one.
func (h *Hasher) Hash(_ context.Context, password string) (string, error) {
	h.Calls.Add(1)
	sum := sha256.Sum256([]byte("test hash " + password))
	return "$test$" + hex.EncodeToString(sum[:]), nil
}

// Verify counts one. Hashes that start with $old$ are outdated.
func (h *Hasher) Verify(ctx context.Context, password, encoded string) (match, outdated bool, err error) {
	if h.During != nil {
		h.During()
	}
	want, _ := h.Hash(ctx, password)
	outdated = len(encoded) > 5 && encoded[:5] == "$old$"
	if outdated {
		want = "$old$" + want[6:]
	}
	return want == encoded, outdated && want == encoded, nil
}

// VerifyDummy counts one.
func (h *Hasher) VerifyDummy(context.Context, string) error {
	h.Calls.Add(1)
	return nil
}

// Adopt takes encoded hashes that begin with $old$.
func (h *Hasher) Adopt(f identity.ForeignHash) (string, error) {
	if !strings.HasPrefix(f.Encoded, "$old$") {
		return "", fault.Validation(fault.Field{Field: "password", Code: "INVALID", Detail: "not a hash of the test's"})
	}
	return f.Encoded, nil
}

// Expect remembers what it was told.
func (h *Hasher) Expect(_ context.Context, kinds []string) error {
	h.Kinds.Store(&kinds)
	return nil
}

// Signer writes claims as plain JSON. Private halves are random bytes, "sealed" by hashing, so that a test may
// search a store for them.
type Signer struct{ Private []byte }

var _ identity.Signer = (*Signer)(nil)

// Generate makes a key that signs nothing.
func (s *Signer) Generate(id, algorithm string) (public, sealed []byte, err error) {
	if algorithm == "" {
		return nil, nil, errors.New("no algorithm")
	}
	s.Private = make([]byte, 32)
	_, _ = rand.Read(s.Private)
	sum := sha256.Sum256(s.Private)
	return []byte("public " + id), sum[:], nil
}

// Sign encodes the claims and the key's id.
func (s *Signer) Sign(key identity.SigningKey, c identity.Claims) (string, error) {
	b, err := json.Marshal(signed{key.ID, c})
	return string(b), err
}

type signed struct {
	KeyID  string
	Claims identity.Claims
}

// Claims reads a token that Signer has made.
func Claims(token string) identity.Claims { return open(token).Claims }

func open(token string) (s signed) {
	if err := json.Unmarshal([]byte(token), &s); err != nil {
		panic(fmt.Sprintf("not a token of identitytest.Signer: %v", err))
	}
	return s
}

// Caller reads a token that Signer has made, as a gateway would.
func Caller(token string) principal.Principal {
	s := open(token)
	return principal.Principal{
		UserID: s.Claims.UserID, SessionID: s.Claims.SessionID, APIKeyID: s.Claims.APIKeyID, TokenID: s.Claims.TokenID,
		KeyID: s.KeyID, Roles: s.Claims.Roles, Permissions: s.Claims.Permissions, Epoch: s.Claims.Epoch, EpochRoles: s.Claims.EpochRoles,
		IssuedAt: s.Claims.IssuedAt, ExpiresAt: s.Claims.ExpiresAt,
	}
}

// MAC is a key ring of one key.
type MAC struct{ Key []byte }

var _ identity.MAC = MAC{}

// Current is key 1.
func (MAC) Current() byte { return 1 }

// Sum knows only key 1.
func (m MAC) Sum(id byte, message []byte) ([]byte, bool) {
	if id != 1 {
		return nil, false
	}
	h := hmac.New(sha256.New, append([]byte("identitytest"), m.Key...))
	h.Write(message)
	return h.Sum(nil), true
}

// NewIDs returns a source of UUIDs that count up, so that a later one is larger, as UUIDv7 are.
func NewIDs() func() string {
	var n atomic.Uint64
	return func() string {
		var b [16]byte
		binary.BigEndian.PutUint64(b[8:], n.Add(1))
		b[6], b[8] = 0x70, b[8]|0x80
		s := hex.EncodeToString(b[:])
		return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
	}
}

// Clock is a clock that moves when it is told to. It is safe for concurrent use.
type Clock struct{ nanos atomic.Int64 }

// NewClock starts at a fixed moment.
func NewClock() *Clock {
	c := &Clock{}
	c.nanos.Store(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

// Now is the clock's time.
func (c *Clock) Now() time.Time { return time.Unix(0, c.nanos.Load()).UTC() }

// Advance moves the clock, back too.
func (c *Clock) Advance(d time.Duration) { c.nanos.Add(int64(d)) }
