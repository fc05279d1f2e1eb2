package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	golangjwt "github.com/golang-jwt/jwt/v5"
)

// boxes is a sealer that binds to its label and does not encrypt: what sealing is worth is the key ring's test.
type boxes struct{ opened int }

func (b *boxes) Seal(label string, plain []byte) []byte {
	return append([]byte(label+"|"), plain...)
}

func (b *boxes) Open(label string, sealed []byte) ([]byte, error) {
	b.opened++
	plain, ok := bytes.CutPrefix(sealed, []byte(label+"|"))
	if !ok {
		return nil, errors.New("other label")
	}
	return bytes.Clone(plain), nil
}

func generate(t *testing.T, s *Signer, id, algorithm string) Key {
	t.Helper()
	k, err := s.Generate(id, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var claims = Claims{
	RegisteredClaims: golangjwt.RegisteredClaims{
		Issuer: "https://id.example", Audience: []string{"cloakroom"}, Subject: "user", ID: "jti",
		IssuedAt:  golangjwt.NewNumericDate(time.Unix(1_700_000_000, 999_999_000)),
		ExpiresAt: golangjwt.NewNumericDate(time.Unix(1_700_000_900, 1_000)),
	},
	SessionID: "session", Roles: []string{"guest"}, Permissions: []string{"files:read:self"}, Epoch: 7,
}

func TestSign_EveryAlgorithmVerifiesAgainstItsPublicHalf(t *testing.T) {
	for algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			s := NewSigner(&boxes{})
			key := generate(t, s, "kid-1", algorithm)
			raw, err := s.Sign(key, claims)
			if err != nil {
				t.Fatal(err)
			}
			public, err := ParsePublic(algorithm, key.Public)
			if err != nil {
				t.Fatal(err)
			}
			got, err := golangjwt.Parse(raw, func(*golangjwt.Token) (any, error) { return public, nil },
				golangjwt.WithValidMethods([]string{algorithm}), golangjwt.WithTimeFunc(func() time.Time { return time.Unix(1_700_000_001, 0) }))
			if err != nil || got.Header["kid"] != "kid-1" || got.Header["typ"] != "at+jwt" {
				t.Fatalf("header %v, %v", got.Header, err)
			}
		})
	}
}

func TestSign_ClaimsAsRFC9068WantsThem(t *testing.T) {
	s := NewSigner(&boxes{})
	raw, err := s.Sign(generate(t, s, "k", "EdDSA"), claims)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"iss":"https://id.example","sub":"user","aud":["cloakroom"],"exp":1700000900,"iat":1700000000,"jti":"jti",` +
		`"sid":"session","roles":["guest"],"permissions":["files:read:self"],"epoch":7}`
	if string(payload) != want {
		t.Errorf("claims\n got %s\nwant %s", payload, want)
	}
}

func TestSign_OpensAKeyOnce(t *testing.T) {
	b := &boxes{}
	s := NewSigner(b)
	key := generate(t, s, "k", "EdDSA")
	for range 10 {
		if _, err := s.Sign(key, claims); err != nil {
			t.Fatal(err)
		}
	}
	if b.opened != 1 {
		t.Errorf("the sealed key was opened %d times", b.opened)
	}
}

func TestSign_KeepsABoundedNumberOfKeys(t *testing.T) {
	s := NewSigner(&boxes{})
	for i := range 3 * maxParsed {
		if _, err := s.Sign(generate(t, s, string(rune('a'+i)), "EdDSA"), claims); err != nil {
			t.Fatal(err)
		}
		if len(s.parsed) > maxParsed {
			t.Fatalf("%d keys in memory", len(s.parsed))
		}
	}
}

func TestSign_RefusesRowsThatDoNotFitTogether(t *testing.T) {
	s := NewSigner(&boxes{})
	key, other := generate(t, s, "one", "EdDSA"), generate(t, s, "two", "EdDSA")
	ec := generate(t, s, "one", "ES256")
	for name, row := range map[string]Key{
		"private key of another row":    {"one", "EdDSA", key.Public, other.Sealed},
		"public key of another row":     {"one", "EdDSA", other.Public, key.Sealed},
		"algorithm of another key type": {"one", "RS256", key.Public, key.Sealed},
		"curve of another algorithm":    {"one", "ES512", ec.Public, ec.Sealed},
		"none":                          {"one", "none", key.Public, key.Sealed},
		"a symmetric algorithm":         {"one", "HS256", key.Public, key.Sealed},
		"garbage":                       {"one", "EdDSA", key.Public, []byte("signing key one|garbage")},
	} {
		if raw, err := s.Sign(row, claims); err == nil {
			t.Errorf("%s: signed %s", name, raw)
		}
	}
	if len(s.parsed) != 0 {
		t.Errorf("%d bad keys are kept", len(s.parsed))
	}
}

func TestGenerate_KeysDifferAndHideTheirPrivateHalf(t *testing.T) {
	s := NewSigner(&boxes{})
	if a, b := generate(t, s, "k", "EdDSA"), generate(t, s, "k", "EdDSA"); bytes.Equal(a.Public, b.Public) {
		t.Error("two keys are equal")
	}
	for _, algorithm := range []string{"", "none", "HS256", "HS512", "eddsa", "PS256", "ES384"} {
		if _, err := s.Generate("k", algorithm); err == nil {
			t.Errorf("made a key for %q", algorithm)
		}
	}
}

func TestPublicJWK_ReadsBackAsTheSameKey(t *testing.T) {
	s := NewSigner(&boxes{})
	for algorithm, want := range map[string]JWK{
		"EdDSA": {KeyType: "OKP", Curve: "Ed25519"}, "RS256": {KeyType: "RSA"}, "RS512": {KeyType: "RSA"},
		"ES256": {KeyType: "EC", Curve: "P-256"}, "ES512": {KeyType: "EC", Curve: "P-521"},
	} {
		key := generate(t, s, "k", algorithm)
		jwk, err := PublicJWK("k", algorithm, key.Public)
		if err != nil {
			t.Fatal(err)
		}
		if jwk.KeyType != want.KeyType || jwk.Curve != want.Curve || jwk.Use != "sig" || jwk.Algorithm != algorithm {
			t.Errorf("%s: %+v", algorithm, jwk)
		}
		// RFC 7518 asks for coordinates of the field's full size: 32 and 66 bytes are 43 and 88 characters.
		if sizes := map[string]int{"EdDSA": 43, "ES256": 43, "ES512": 88}; len(jwk.X) != sizes[algorithm] {
			t.Errorf("%s: x has %d characters", algorithm, len(jwk.X))
		}
		var members map[string]any
		raw, _ := json.Marshal(jwk)
		_ = json.Unmarshal(raw, &members)
		if _, private := members["d"]; private {
			t.Errorf("%s: the JWK has a private part", algorithm)
		}
	}
	if _, err := PublicJWK("k", "RS256", generate(t, s, "k", "EdDSA").Public); err == nil {
		t.Error("a key is published under an algorithm it does not belong to")
	}
	if _, err := PublicJWK("k", "EdDSA", []byte("garbage")); err == nil {
		t.Error("garbage is published")
	}
}

func BenchmarkSign_EdDSA(b *testing.B) {
	s := NewSigner(&boxes{})
	key, _ := s.Generate("k", "EdDSA")
	for b.Loop() {
		if _, err := s.Sign(key, claims); err != nil {
			b.Fatal(err)
		}
	}
}
