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

	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
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

func newSigner(s Sealer) *Signer { return NewSigner(s, "https://id.example", []string{"cloakroom"}) }

func generate(t *testing.T, s *Signer, id, algorithm string) identity.SigningKey {
	t.Helper()
	public, sealed, err := s.Generate(id, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return identity.SigningKey{ID: id, Algorithm: algorithm, Public: public, Sealed: sealed}
}

var someone = identity.Claims{
	TokenID: "jti", UserID: "user", SessionID: "session", Roles: []string{"guest"}, Epoch: 7,
	Permissions: []principal.Permission{{Resource: "files", Action: "read", Scope: principal.Self}},
	IssuedAt:    time.Unix(1_700_000_000, 999_999_000), ExpiresAt: time.Unix(1_700_000_900, 1_000),
}

func TestSign_EveryAlgorithmVerifiesAgainstItsPublicHalf(t *testing.T) {
	for algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			s := newSigner(&boxes{})
			key := generate(t, s, "kid-1", algorithm)
			raw, err := s.Sign(key, someone)
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
	s := newSigner(&boxes{})
	raw, err := s.Sign(generate(t, s, "k", "EdDSA"), someone)
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

func TestSign_SaysHowThePersonWasProved(t *testing.T) {
	s := newSigner(&boxes{})
	key := generate(t, s, "k", "EdDSA")
	for proof, want := range map[identity.Proof]string{
		identity.ProofPassword: `"auth_time":1700000000,"amr":["pwd"],"acr":"aal1"}`,
		identity.ProofFactor:   `"auth_time":1700000000,"amr":["otp","mfa"],"acr":"aal2"}`,
		identity.ProofProvider: `"auth_time":1700000000,"acr":"aal1"}`,
	} {
		c := someone
		c.Proof, c.ProvedAt = proof, time.Unix(1_700_000_000, 999_999_000)
		raw, err := s.Sign(key, c)
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
		if !strings.HasSuffix(string(payload), want) {
			t.Errorf("%s: claims %s, want them to end in %s", proof, payload, want)
		}
	}
}

func TestSign_OpensAKeyOnce(t *testing.T) {
	b := &boxes{}
	s := newSigner(b)
	key := generate(t, s, "k", "EdDSA")
	for range 10 {
		if _, err := s.Sign(key, someone); err != nil {
			t.Fatal(err)
		}
	}
	if b.opened != 1 {
		t.Errorf("the sealed key was opened %d times", b.opened)
	}
}

func TestSign_KeepsABoundedNumberOfKeys(t *testing.T) {
	s := newSigner(&boxes{})
	for i := range 3 * maxParsed {
		if _, err := s.Sign(generate(t, s, string(rune('a'+i)), "EdDSA"), someone); err != nil {
			t.Fatal(err)
		}
		if len(s.parsed) > maxParsed {
			t.Fatalf("%d keys in memory", len(s.parsed))
		}
	}
}

func TestSign_RefusesRowsThatDoNotFitTogether(t *testing.T) {
	s := newSigner(&boxes{})
	key, other := generate(t, s, "one", "EdDSA"), generate(t, s, "two", "EdDSA")
	ec := generate(t, s, "one", "ES256")
	for name, row := range map[string]identity.SigningKey{
		"private key of another row":    {ID: "one", Algorithm: "EdDSA", Public: key.Public, Sealed: other.Sealed},
		"public key of another row":     {ID: "one", Algorithm: "EdDSA", Public: other.Public, Sealed: key.Sealed},
		"algorithm of another key type": {ID: "one", Algorithm: "RS256", Public: key.Public, Sealed: key.Sealed},
		"curve of another algorithm":    {ID: "one", Algorithm: "ES512", Public: ec.Public, Sealed: ec.Sealed},
		"none":                          {ID: "one", Algorithm: "none", Public: key.Public, Sealed: key.Sealed},
		"a symmetric algorithm":         {ID: "one", Algorithm: "HS256", Public: key.Public, Sealed: key.Sealed},
		"garbage":                       {ID: "one", Algorithm: "EdDSA", Public: key.Public, Sealed: []byte("signing key one|garbage")},
	} {
		if raw, err := s.Sign(row, someone); err == nil {
			t.Errorf("%s: signed %s", name, raw)
		}
	}
	if len(s.parsed) != 0 {
		t.Errorf("%d bad keys are kept", len(s.parsed))
	}
}

func TestGenerate_KeysDifferAndHideTheirPrivateHalf(t *testing.T) {
	s := newSigner(&boxes{})
	if a, b := generate(t, s, "k", "EdDSA"), generate(t, s, "k", "EdDSA"); bytes.Equal(a.Public, b.Public) {
		t.Error("two keys are equal")
	}
	for _, algorithm := range []string{"", "none", "HS256", "HS512", "eddsa", "PS256", "ES384"} {
		if _, _, err := s.Generate("k", algorithm); err == nil {
			t.Errorf("made a key for %q", algorithm)
		}
	}
}

func TestKeySet_PublishesOnlyThePublicHalf(t *testing.T) {
	s := newSigner(&boxes{})
	for algorithm, want := range map[string]jwk{
		"EdDSA": {KeyType: "OKP", Curve: "Ed25519"}, "RS256": {KeyType: "RSA"}, "RS512": {KeyType: "RSA"},
		"ES256": {KeyType: "EC", Curve: "P-256"}, "ES512": {KeyType: "EC", Curve: "P-521"},
	} {
		raw, err := KeySet([]identity.SigningKey{generate(t, s, "k", algorithm)})
		if err != nil {
			t.Fatal(err)
		}
		var set struct {
			Keys []map[string]string `json:"keys"`
		}
		if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) != 1 {
			t.Fatalf("%s: %s, %v", algorithm, raw, err)
		}
		k := set.Keys[0]
		if k["kty"] != want.KeyType || k["crv"] != want.Curve || k["use"] != "sig" || k["alg"] != algorithm || k["kid"] != "k" {
			t.Errorf("%s: %v", algorithm, k)
		}
		// RFC 7518 asks for coordinates of the field's full size: 32 and 66 bytes are 43 and 88 characters.
		if sizes := map[string]int{"EdDSA": 43, "ES256": 43, "ES512": 88}; len(k["x"]) != sizes[algorithm] {
			t.Errorf("%s: x has %d characters", algorithm, len(k["x"]))
		}
		for _, private := range []string{"d", "p", "q", "k"} {
			if _, told := k[private]; told {
				t.Errorf("%s: the set tells %q", algorithm, private)
			}
		}
	}
}

func TestKeySet_RefusesKeysOfAnotherAlgorithm(t *testing.T) {
	mixed := generate(t, newSigner(&boxes{}), "k", "EdDSA")
	mixed.Algorithm = "RS256"
	if _, err := KeySet([]identity.SigningKey{mixed}); err == nil {
		t.Error("a key is published under an algorithm it does not belong to")
	}
	if _, err := KeySet([]identity.SigningKey{{ID: "k", Algorithm: "EdDSA", Public: []byte("garbage")}}); err == nil {
		t.Error("garbage is published")
	}
	if raw, err := KeySet(nil); err != nil || string(raw) != `{"keys":[]}` {
		t.Errorf("no keys: %s, %v", raw, err)
	}
}

func BenchmarkSign_EdDSA(b *testing.B) {
	s := newSigner(&boxes{})
	public, sealed, _ := s.Generate("k", "EdDSA")
	key := identity.SigningKey{ID: "k", Algorithm: "EdDSA", Public: public, Sealed: sealed}
	for b.Loop() {
		if _, err := s.Sign(key, someone); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSign_ClaimsOfAnotherContractStandBesideOurs(t *testing.T) {
	s := newSigner(&boxes{})
	key := generate(t, s, "k1", "EdDSA")
	raw, err := s.Sign(key, identity.Claims{UserID: "ada", SessionID: "s1", Extra: map[string]string{"userId": "ada", "deviceId": `"x`}})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	var got map[string]any
	if err != nil || json.Unmarshal(payload, &got) != nil || got["userId"] != "ada" || got["deviceId"] != `"x` || got["sid"] != "s1" {
		t.Errorf("the token says %s (%v)", payload, err)
	}
	for _, ours := range []string{"sub", "sid", "exp", "roles", "permissions", "epoch", "api_key_id", "nbf", "aud"} {
		if _, err := s.Sign(key, identity.Claims{UserID: "ada", SessionID: "s1", Extra: map[string]string{ours: "admin"}}); err == nil {
			t.Errorf("another contract may say %s", ours)
		}
	}
}
