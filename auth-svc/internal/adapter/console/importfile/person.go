package importfile

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// person is a line. Fields that are null count as left out, since most databases write them so.
type person struct {
	ID            *foreignID `json:"id"`
	Email         *string    `json:"email"`
	EmailVerified *bool      `json:"email_verified"`
	Phone         *string    `json:"phone"`
	Username      *string    `json:"username"`
	Name          *string    `json:"name"`
	Status        *string    `json:"status"`
	Roles         *[]string  `json:"roles"`
	CreatedAt     *web.Time  `json:"created_at"`
	PasswordHash  *string    `json:"password_hash"`
	Password      *password  `json:"password"`
}

// password is a hash whose parts stand apart.
type password struct {
	Algorithm    string `json:"algorithm"`
	Hash         string `json:"hash"`
	Salt         string `json:"salt"`
	Encoding     string `json:"encoding"`
	SaltEncoding string `json:"salt_encoding"`
	Digest       string `json:"digest"`
	Iterations   int64  `json:"iterations"`
	N            int64  `json:"n"`
	R            int64  `json:"r"`
	P            int64  `json:"p"`
	MemoryKiB    int64  `json:"memory_kib"`
}

// foreignID is a text or a whole number: other systems count their people.
type foreignID string

// UnmarshalJSON reads either.
func (id *foreignID) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil && raw[0] == '"' {
		*id = foreignID(text)
		return nil
	}
	if len(raw) > 20 || strings.Trim(string(raw), "0123456789") != "" {
		return errors.New("neither a text nor a whole number")
	}
	*id = foreignID(raw)
	return nil
}

// Form tells which form it takes.
func (*foreignID) Form() string { return "must be a text or a whole number" }

func decode(raw []byte) identity.Incoming {
	var p person
	if err := web.Decode(raw, &p); err != nil {
		return identity.Incoming{Bad: reasons(err)}
	}
	in := identity.Incoming{
		ID: string(value(p.ID)), Email: value(p.Email), EmailVerified: value(p.EmailVerified), Phone: value(p.Phone),
		Username: value(p.Username), Name: value(p.Name), Status: identity.Status(value(p.Status)),
		CreatedAt: time.Time(value(p.CreatedAt)), Roles: value(p.Roles),
	}
	encoded := value(p.PasswordHash)
	if h := p.Password; h != nil {
		in.Password = identity.ForeignHash{
			Encoded: encoded, Algorithm: h.Algorithm, Hash: h.Hash, Salt: h.Salt, Encoding: h.Encoding,
			SaltEncoding: h.SaltEncoding, Digest: h.Digest, Iterations: h.Iterations, N: h.N, R: h.R, P: h.P, MemoryKiB: h.MemoryKiB,
		}
		if in.Password.Algorithm == "" {
			in.Bad = []fault.Field{{Field: "password.algorithm", Code: "REQUIRED", Detail: "say which algorithm made the hash"}}
		}
		return in
	}
	in.Password.Encoded = encoded
	return in
}

// reasons are the fields a fault names, or the fault itself.
func reasons(err error) []fault.Field {
	var f *fault.Error
	if !errors.As(err, &f) {
		return []fault.Field{{Field: "line", Code: "INVALID", Detail: "can't be read"}}
	}
	if len(f.Fields) > 0 {
		return f.Fields
	}
	return []fault.Field{{Field: "line", Code: "INVALID", Detail: strings.ReplaceAll(f.Detail, "the body", "the line")}}
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
