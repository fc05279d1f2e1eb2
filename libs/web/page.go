package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"cloakroom.dev/libs/fault"
)

// Limits of a page.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// maxCursorBytes bounds a cursor before it is opened.
const maxCursorBytes = 2048

// CursorCodec seals positions in a list as cursors: opaque, since what they hold is nobody's business, and
// tamper-proof, since what comes back goes into a query.
type CursorCodec struct{ aead cipher.AEAD }

// NewCursorCodec makes a codec. Every replica of a service needs the same key.
func NewCursorCodec(key [32]byte) *CursorCodec {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &CursorCodec{aead}
}

// Seal makes a cursor of a position, which must be a value that JSON can hold.
func (c *CursorCodec) Seal(position any) string {
	plain, err := json.Marshal(position)
	if err != nil {
		panic(err) // a programmer's mistake: positions are plain structs
	}
	nonce := make([]byte, c.aead.NonceSize(), c.aead.NonceSize()+len(plain)+c.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(nonce, nonce, plain, nil))
}

// Open reads a cursor into position. A cursor that Seal has not made is a validation fault on the field cursor.
func (c *CursorCodec) Open(cursor string, position any) error {
	refused := fault.Validation(fault.Field{Field: "cursor", Code: "INVALID", Detail: "use next_cursor as it was given"})
	if len(cursor) > maxCursorBytes {
		return refused
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(sealed) < c.aead.NonceSize() {
		return refused
	}
	plain, err := c.aead.Open(nil, sealed[:c.aead.NonceSize()], sealed[c.aead.NonceSize():], nil)
	if err != nil || json.Unmarshal(plain, position) != nil {
		return refused
	}
	return nil
}

// Time is a time in an answer: RFC 3339, UTC, always six digits of a second.
type Time time.Time

const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// MarshalJSON writes the time.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(t).UTC().Format(timeLayout) + `"`), nil
}

// Form tells which form it takes.
func (Time) Form() string { return "must be a time in RFC 3339's form, such as 2026-01-31T12:00:00Z" }

// UnmarshalJSON reads any RFC 3339 time and keeps microseconds.
func (t *Time) UnmarshalJSON(raw []byte) error {
	var std time.Time
	if err := std.UnmarshalJSON(raw); err != nil {
		return err
	}
	*t = Time(std.UTC().Truncate(time.Microsecond))
	return nil
}
