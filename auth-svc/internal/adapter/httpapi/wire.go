package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

// hidden is a secret in a request. It prints as [redacted] from the moment it is read.
type hidden struct {
	secret.String
	given bool // distinguishes an empty secret from none
}

// UnmarshalJSON takes a string.
func (h *hidden) UnmarshalJSON(raw []byte) error {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if s == nil {
		return errNull
	}
	h.String, h.given = secret.NewString(*s), true
	return nil
}

// Form tells which form it takes.
func (*hidden) Form() string { return "must be a string" }

// web.JSON turns both into a field that has the wrong form.
var (
	errNull  = errors.New("null is not a value here")
	errEmpty = errors.New("use null to remove it")
)

// removable is a text that may be left alone (absent), removed (null), or set. The core's word for removal is "".
type removable struct{ value *string }

// UnmarshalJSON takes null or a string that is not empty: "" is more often a form left blank than a wish to remove.
func (t *removable) UnmarshalJSON(raw []byte) error {
	var s string
	if bytes.Equal(raw, []byte("null")) {
		t.value = &s
		return nil
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if s == "" {
		return errEmpty
	}
	t.value = &s
	return nil
}

// Form tells which form it takes.
func (*removable) Form() string { return "must be a string that is not empty, or null to remove it" }

type userBody = wire.User

func newUser(u identity.User) userBody { return wire.NewUser(u) }

// sessionBody is a session as its client gets it. Of a browser session the tokens and their type are missing: they are
// in the cookies, where no script can read them.
type sessionBody struct {
	AccessToken      string `json:"access_token,omitempty"`
	TokenType        string `json:"token_type,omitempty"`
	ExpiresIn        int64  `json:"expires_in"`
	RefreshToken     string `json:"refresh_token,omitempty"`
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
	SessionID        string `json:"session_id"`
}

// client is the other end of the request, as the core keeps it.
func client(ctx context.Context, deviceName string) identity.Client {
	c := identity.Client{Address: web.ClientAddr(ctx), DeviceName: deviceName}
	if r := web.Request(ctx); r != nil {
		c.UserAgent = r.UserAgent()
	}
	return c
}

func orNull(s string) *string { return wire.OrNull(s) }

func orEmpty[T any](list []T) []T { return wire.OrEmpty(list) }
