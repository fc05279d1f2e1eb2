package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// keyring is a KeySource that counts how often it is asked for a key it doesn't have.
type keyring struct {
	keys    map[string]token.Key
	broken  error
	unknown atomic.Int64
}

func (k *keyring) Key(_ context.Context, kid string) (token.Key, error) {
	if k.broken != nil {
		return token.Key{}, k.broken
	}
	key, ok := k.keys[kid]
	if !ok {
		k.unknown.Add(1)
		return token.Key{}, fault.New(fault.NotFound, "no such key")
	}
	return key, nil
}

// fixture is a verifier over keys of all algorithms and a view that the test feeds by hand.
type fixture struct {
	*token.Verifier
	t       testing.TB
	view    *token.View
	keys    *keyring
	private map[string]crypto.Signer
	reg     *prometheus.Registry
}

var signers = map[string]struct {
	method jwt.SigningMethod
	make   func() (crypto.Signer, error)
}{
	"EdDSA": {jwt.SigningMethodEdDSA, func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(nil); return k, err }},
	"ES256": {jwt.SigningMethodES256, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	"ES512": {jwt.SigningMethodES512, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) }},
	"RS256": {jwt.SigningMethodRS256, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
	"RS512": {jwt.SigningMethodRS512, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
}

// testKeys are made once: RSA takes its time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for name, s := range signers {
		private, err := s.make()
		if err != nil {
			panic(err)
		}
		keys[name] = private
	}
	return keys
})

func newFixture(t testing.TB, change ...func(*token.Policy)) *fixture {
	t.Helper()
	f := &fixture{t: t, keys: &keyring{keys: map[string]token.Key{}}, private: map[string]crypto.Signer{}, reg: prometheus.NewRegistry()}
	for name, private := range testKeys() {
		kid := "kid-" + name
		f.private[kid] = private
		f.keys.keys[kid] = token.Key{ID: kid, Algorithm: name, Public: private.Public()}
	}
	policy := token.Policy{
		Issuer: tokentest.Name, Audiences: []string{tokentest.Audience},
		Algorithms: []string{"EdDSA", "ES256", "ES512", "RS256", "RS512"}, Leeway: 30 * time.Second,
	}
	for _, c := range change {
		c(&policy)
	}
	f.view = token.NewView(token.ViewOptions{Registerer: f.reg, MaxStaleness: time.Minute})
	f.view.Heard(0, time.Now())
	f.Verifier = token.NewVerifier(f.keys, f.view, policy, f.reg)
	return f
}

type object = map[string]any

func header(algorithm string) object {
	return object{"alg": algorithm, "typ": "at+jwt", "kid": "kid-" + algorithm}
}

func goodClaims() object {
	now := time.Now().Unix()
	return object{
		"iss": tokentest.Name, "aud": tokentest.Audience, "sub": tokentest.DefaultSubject, "sid": tokentest.DefaultSession,
		"jti": "jti-1", "iat": now, "exp": now + 300, "epoch": 0, "roles": []string{"guest"}, "permissions": []string{"files:read:self"},
	}
}

// with returns o with members set, or left out when their value is nil.
func with(o object, name string, value any) object {
	if value == nil {
		delete(o, name)
	} else {
		o[name] = value
	}
	return o
}

// sign signs any header and claims, as objects or as JSON text, by the method and key named.
func (f *fixture) sign(algorithm string, head, claims any) string {
	input := encode(head) + "." + encode(claims)
	signature, err := signers[algorithm].method.Sign(input, f.private["kid-"+algorithm])
	if err != nil {
		panic(err) // not f.t: a fuzz target may not touch it
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func encode(v any) string {
	switch v := v.(type) {
	case string:
		return base64.RawURLEncoding.EncodeToString([]byte(v))
	default:
		data, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
}

// good signs a token of the EdDSA key with changed claims.
func (f *fixture) good(change ...any) string {
	claims := goodClaims()
	for i := 0; i < len(change); i += 2 {
		with(claims, change[i].(string), change[i+1])
	}
	return f.sign("EdDSA", header("EdDSA"), claims)
}

// kindOf is the kind of a Verify's failure; -1 when there was none.
func (f *fixture) kindOf(raw string) fault.Kind {
	_, err := f.Verify(context.Background(), raw)
	if err == nil {
		return -1
	}
	return fault.KindOf(err)
}
