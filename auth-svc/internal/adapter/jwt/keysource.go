package jwt

import (
	"context"
	"fmt"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/token"

	"cloakroom.dev/auth-svc/internal/identity"
)

// KeySource lets the service verify its own tokens with the keys it publishes, without asking itself over HTTP.
type KeySource struct {
	// Published returns the keys that verify: next, current and retiring, from memory.
	Published func(ctx context.Context) ([]identity.SigningKey, error)
}

var _ token.KeySource = KeySource{}

// Key finds the key that kid names. It returns fault.NotFound when it is not published.
func (s KeySource) Key(ctx context.Context, kid string) (token.Key, error) {
	keys, err := s.Published(ctx)
	if err != nil {
		return token.Key{}, err
	}
	for _, k := range keys {
		if k.ID != kid {
			continue
		}
		public, err := ParsePublic(k.Algorithm, k.Public)
		if err != nil {
			return token.Key{}, fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		return token.Key{ID: k.ID, Algorithm: k.Algorithm, Public: public}, nil
	}
	return token.Key{}, fault.New(fault.NotFound, "no such signing key")
}
