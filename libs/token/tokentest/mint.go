package tokentest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Option changes one thing about a token to be minted.
type Option func(*draft)

type draft struct {
	header, claims map[string]any
}

// Subject sets whom the token is for.
func Subject(id string) Option { return Claim("sub", id) }

// Session sets the session the token belongs to.
func Session(id string) Option { return Claim("sid", id) }

// APIKey makes a token that was exchanged for an API key: it has no session.
func APIKey(id string) Option {
	return func(d *draft) {
		delete(d.claims, "sid")
		d.claims["api_key_id"] = id
	}
}

// Roles sets the roles.
func Roles(names ...string) Option { return Claim("roles", names) }

// Permissions sets the permissions, in the form `files:read:self`.
func Permissions(list ...string) Option { return Claim("permissions", list) }

// Epoch sets the newest change of rights that the token knows.
func Epoch(seq int64) Option { return Claim("epoch", seq) }

// ExpiresIn sets how long the token lives from now, in whole seconds.
func ExpiresIn(d time.Duration) Option { return Claim("exp", time.Now().Add(d).Unix()) }

// Claim sets any claim, as JSON encodes value; a json.RawMessage stands as it is.
func Claim(name string, value any) Option { return func(d *draft) { d.claims[name] = value } }

// Mint signs an access token: for DefaultSubject and DefaultSession, of role guest, living five minutes, unless the
// options say otherwise.
func (i *Issuer) Mint(opts ...Option) string {
	key := i.current()
	i.mu.Lock()
	i.minted++
	jti := fmt.Sprintf("jti-%d", i.minted)
	i.mu.Unlock()
	now := time.Now()
	d := draft{
		header: map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": key.kid},
		claims: map[string]any{
			"iss": Name, "aud": Audience, "sub": DefaultSubject, "sid": DefaultSession, "jti": jti,
			"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "epoch": 0,
			"roles": []string{"guest"}, "permissions": []string{},
		},
	}
	for _, opt := range opts {
		opt(&d)
	}
	return Sign(key.private, mustJSON(d.header), mustJSON(d.claims))
}

// Sign makes a compact JWS of a header and a payload exactly as they are given, for tokens that no Option can make.
func Sign(key ed25519.PrivateKey, header, payload []byte) string {
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(input)))
}

// Key returns the private key that signs now, for use with Sign.
func (i *Issuer) Key() ed25519.PrivateKey { return i.current().private }

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode a test token: %v", err)) // a test gave a value that JSON has no form for
	}
	return data
}
