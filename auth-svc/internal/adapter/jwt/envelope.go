package jwt

import (
	"context"
	"errors"
	"fmt"
	"time"

	golangjwt "github.com/golang-jwt/jwt/v5"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Envelope signs and opens tokens of contracts that want a JWT where ours has none. A type tells them apart: what was signed as
// one kind never opens as another, and none of them passes for an access token.
type Envelope struct {
	signer    *Signer
	published func(ctx context.Context) ([]identity.SigningKey, error)
}

// NewEnvelope makes an Envelope of the service's own keys; published returns them from memory.
func NewEnvelope(signer *Signer, published func(ctx context.Context) ([]identity.SigningKey, error)) *Envelope {
	return &Envelope{signer: signer, published: published}
}

var errNotOurs = errors.New("not a token of this kind that a published key of ours has signed")

// SignLike signs claims as this type with the key that has signed like, a token of ours.
func (e *Envelope) SignLike(ctx context.Context, like, tokenType string, claims map[string]any) (string, error) {
	parsed, _, err := golangjwt.NewParser().ParseUnverified(like, golangjwt.MapClaims{})
	if err != nil {
		return "", fmt.Errorf("read the token to sign like: %w", err)
	}
	key, err := e.key(ctx, parsed)
	if err != nil {
		return "", err
	}
	a, err := lookUp(key.Algorithm)
	if err != nil {
		return "", err
	}
	private, err := e.signer.private(key, a)
	if err != nil {
		return "", fmt.Errorf("signing key %s: %w", key.ID, err)
	}
	token := golangjwt.NewWithClaims(a.method, golangjwt.MapClaims(claims))
	token.Header["typ"], token.Header["kid"] = tokenType, key.ID
	return token.SignedString(private)
}

// maxEnvelopeBytes is larger than any token of ours.
const maxEnvelopeBytes = 8 << 10

// Open returns the claims of a token that a published key of ours has signed as this type, whether it has expired or not; until
// is when it does.
func (e *Envelope) Open(ctx context.Context, raw, tokenType string) (claims map[string]any, until time.Time, err error) {
	if len(raw) > maxEnvelopeBytes {
		return nil, until, errNotOurs
	}
	parser := golangjwt.NewParser(golangjwt.WithoutClaimsValidation(), golangjwt.WithStrictDecoding())
	token, err := parser.Parse(raw, func(t *golangjwt.Token) (any, error) {
		key, err := e.key(ctx, t)
		if err != nil {
			return nil, err
		}
		if t.Header["typ"] != tokenType || t.Method.Alg() != key.Algorithm { // the key says the algorithm, never the token
			return nil, errNotOurs
		}
		return ParsePublic(key.Algorithm, key.Public)
	})
	if err != nil {
		return nil, until, errors.Join(errNotOurs, err)
	}
	found, ok := token.Claims.(golangjwt.MapClaims)
	exp, err := found.GetExpirationTime()
	if !ok || err != nil || exp == nil {
		return nil, until, errNotOurs
	}
	return found, exp.Time, nil
}

// key finds the published key that a token names.
func (e *Envelope) key(ctx context.Context, t *golangjwt.Token) (identity.SigningKey, error) {
	keys, err := e.published(ctx)
	if err != nil {
		return identity.SigningKey{}, err
	}
	for _, k := range keys {
		if k.ID == t.Header["kid"] {
			return k, nil
		}
	}
	return identity.SigningKey{}, errNotOurs
}
