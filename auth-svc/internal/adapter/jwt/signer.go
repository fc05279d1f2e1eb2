// Package jwt makes signing keys and signs access tokens with them.
//
// A signing key is born here: its public half goes out in PKIX form, its private half only sealed, bound to
// its key id, so that the database never sees it and a row can't be swapped for another. To sign, the sealed half is
// opened once and kept parsed in memory, so that a token costs its signature and nothing else. Tokens follow RFC
// 9068: header type at+jwt, the key's own id, the key's own algorithm. Checking tokens is libs/token's work.
package jwt

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	golangjwt "github.com/golang-jwt/jwt/v5"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Sealer encrypts private keys at rest, bound to a label.
type Sealer interface {
	Seal(label string, plain []byte) []byte
	Open(label string, sealed []byte) ([]byte, error)
}

// tokenType is what RFC 9068 asks for, so that no other token of ours can pass for an access token.
const tokenType = "at+jwt"

// maxParsed bounds the keys kept in memory. One signs at a time; the rest is what rotations leave behind.
const maxParsed = 16

// Signer makes keys and signs with them. It is safe for concurrent use.
type Signer struct {
	sealer   Sealer
	issuer   string
	audience []string

	mu     sync.RWMutex
	parsed map[string]crypto.Signer // by key id
}

var _ identity.Signer = (*Signer)(nil)

// NewSigner returns a Signer whose private keys are sealed by sealer and whose tokens name this issuer and audience.
func NewSigner(sealer Sealer, issuer string, audience []string) *Signer {
	return &Signer{sealer: sealer, issuer: issuer, audience: slices.Clone(audience), parsed: map[string]crypto.Signer{}}
}

// Generate makes a new key for an algorithm: EdDSA, RS256, RS512, ES256 or ES512. The public half is PKIX DER, the
// private one PKCS #8 DER, sealed under the key's id.
func (s *Signer) Generate(id, algorithm string) (public, sealed []byte, err error) {
	a, err := lookUp(algorithm)
	if err != nil {
		return nil, nil, err
	}
	private, err := a.generate()
	if err != nil {
		return nil, nil, fmt.Errorf("generate a key for %s: %w", algorithm, err)
	}
	public, err = x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("encode the public key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the private key: %w", err)
	}
	defer clear(der)
	return public, s.sealer.Seal(label(id), der), nil
}

// claims are those of an access token, in RFC 9068's words and ours.
type claims struct {
	golangjwt.RegisteredClaims
	SessionID   string   `json:"sid,omitempty"`
	APIKeyID    string   `json:"api_key_id,omitempty"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	EpochRoles  []string `json:"epoch_roles,omitempty"`
	Epoch       int64    `json:"epoch"`

	AuthTime *golangjwt.NumericDate `json:"auth_time,omitempty"` // these three as RFC 9068 has them, of sessions only
	Methods  []string               `json:"amr,omitempty"`
	Level    string                 `json:"acr,omitempty"`

	extra map[string]string
}

// MarshalJSON adds the claims of another contract. None may say what ours say.
func (c claims) MarshalJSON() ([]byte, error) {
	type plain claims
	raw, err := json.Marshal(plain(c))
	if err != nil || len(c.extra) == 0 {
		return raw, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	for name, value := range c.extra {
		if _, taken := all[name]; taken || reserved[name] {
			return nil, fmt.Errorf("the claim %s is not free", name)
		}
		if all[name], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

// reserved are claims that verifiers act on, whether this token has them or not.
var reserved = map[string]bool{
	"sid": true, "api_key_id": true, "epoch_roles": true, "nbf": true, "auth_time": true, "amr": true, "acr": true, "cnf": true, "act": true,
}

func (s *Signer) claims(c identity.Claims) claims {
	permissions := make([]string, len(c.Permissions))
	for i, p := range c.Permissions {
		permissions[i] = p.String()
	}
	all := claims{
		RegisteredClaims: golangjwt.RegisteredClaims{
			Issuer: s.issuer, Audience: s.audience, Subject: c.UserID, ID: c.TokenID,
			IssuedAt: golangjwt.NewNumericDate(c.IssuedAt), ExpiresAt: golangjwt.NewNumericDate(c.ExpiresAt),
		},
		SessionID: c.SessionID, APIKeyID: c.APIKeyID, Epoch: c.Epoch, EpochRoles: c.EpochRoles,
		Roles: append([]string{}, c.Roles...), Permissions: permissions,
		Methods: c.Proof.Methods(), Level: c.Proof.Level(), extra: c.Extra,
	}
	if !c.ProvedAt.IsZero() {
		all.AuthTime = golangjwt.NewNumericDate(c.ProvedAt.Truncate(time.Second))
	}
	return all
}

// Sign makes the token. Times are cut to whole seconds. It fails when the key can't be opened, or its halves do not
// belong together.
func (s *Signer) Sign(key identity.SigningKey, c identity.Claims) (string, error) {
	a, err := lookUp(key.Algorithm)
	if err != nil {
		return "", err
	}
	private, err := s.private(key, a)
	if err != nil {
		return "", fmt.Errorf("signing key %s: %w", key.ID, err)
	}
	token := golangjwt.NewWithClaims(a.method, s.claims(c))
	token.Header["typ"] = tokenType
	token.Header["kid"] = key.ID
	raw, err := token.SignedString(private)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", key.ID, err)
	}
	return raw, nil
}

// Check opens a key and holds its halves against one another, as Sign would. It fails when the configured
// key-encryption secret is not the one that sealed it.
func (s *Signer) Check(key identity.SigningKey) error {
	a, err := lookUp(key.Algorithm)
	if err != nil {
		return err
	}
	if _, err := s.private(key, a); err != nil {
		return fmt.Errorf("signing key %s: %w", key.ID, err)
	}
	return nil
}

func (s *Signer) private(key identity.SigningKey, a algorithm) (crypto.Signer, error) {
	s.mu.RLock()
	private, ok := s.parsed[key.ID]
	s.mu.RUnlock()
	if ok {
		return private, nil
	}
	private, err := s.open(key, a)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parsed) >= maxParsed {
		clear(s.parsed) // the key in use is parsed again by the next token: 100 µs, once in years
	}
	s.parsed[key.ID] = private
	return private, nil
}

func (s *Signer) open(key identity.SigningKey, a algorithm) (crypto.Signer, error) {
	der, err := s.sealer.Open(label(key.ID), key.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the sealed private key is not PKCS #8")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok || !a.fits(private.Public()) {
		return nil, fmt.Errorf("the private key does not belong to algorithm %s", key.Algorithm)
	}
	public, err := ParsePublic(key.Algorithm, key.Public)
	if err != nil {
		return nil, err
	}
	// A token signed by a key whose published half differs would be refused everywhere: say so here, at the cause.
	if same, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(private.Public()) {
		return nil, errors.New("the private key does not belong to the published one")
	}
	return private, nil
}

// ParsePublic reads a public key in PKIX form. It fails when the key does not belong to the algorithm.
func ParsePublic(algorithm string, pkix []byte) (crypto.PublicKey, error) {
	a, err := lookUp(algorithm)
	if err != nil {
		return nil, err
	}
	public, err := x509.ParsePKIXPublicKey(pkix)
	if err != nil {
		return nil, fmt.Errorf("read the public key: %w", err)
	}
	if !a.fits(public) {
		return nil, fmt.Errorf("the public key does not belong to algorithm %s", algorithm)
	}
	return public, nil
}

func label(id string) string { return "signing key " + id }
