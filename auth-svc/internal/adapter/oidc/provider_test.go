package oidc

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/secret"
)

const (
	clientID     = "cloakroom"
	clientSecret = "not-for-the-log"
)

type claims map[string]any

// signer is one key of a provider.
type signer struct {
	kid string
	key ed25519.PrivateKey
}

func newSigner(kid string) signer {
	_, key, _ := ed25519.GenerateKey(rand.Reader) // never fails
	return signer{kid, key}
}

func (s signer) public() []byte { return s.key.Public().(ed25519.PublicKey) }

// other is a provider in this process that says what a test wants it to.
type other struct {
	*httptest.Server
	mu       sync.Mutex
	keys     []signer
	idToken  string              // what the token endpoint gives; empty for none
	says     claims              // over what the description says
	answers  map[string]answered // in place of an endpoint's own answer, by path
	userInfo claims
	asked    map[string]int
}

type answered func(w http.ResponseWriter, r *http.Request)

func newOther(t *testing.T) *other {
	t.Helper()
	o := &other{keys: []signer{newSigner("first")}, answers: map[string]answered{}, asked: map[string]int{}}
	o.Server = httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(o.Close)
	return o
}

func (o *other) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked[r.URL.Path]++
	instead := o.answers[r.URL.Path]
	o.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(o.own(r.URL.Path))
}

// own is what an honest provider answers.
func (o *other) own(path string) any {
	switch path {
	case "/.well-known/openid-configuration":
		d := claims{
			"issuer": o.URL, "authorization_endpoint": o.URL + "/authorize", "token_endpoint": o.URL + "/token",
			"jwks_uri": o.URL + "/keys", "id_token_signing_alg_values_supported": []string{"EdDSA", "HS256", "none"},
		}
		if o.userInfo != nil {
			d["userinfo_endpoint"] = o.URL + "/userinfo"
		}
		maps.Copy(d, o.says)
		return d
	case "/keys":
		set := []claims{}
		for _, k := range o.keys {
			set = append(set, claims{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": k.kid, "x": text(k.public())})
		}
		return claims{"keys": set}
	case "/token":
		a := claims{"access_token": "an access token", "token_type": "Bearer", "expires_in": 60}
		if o.idToken != "" {
			a["id_token"] = o.idToken
		}
		return a
	default:
		return o.userInfo
	}
}

func (o *other) times(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[path]
}

func (o *other) instead(path string, a answered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[path] = a
}

func status(code int, body string) answered {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// endless never stops.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"issuer":"`))
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(strings.Repeat("a", 64<<10))); err != nil {
			return
		}
	}
}

// silent takes a question and says nothing.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func part(v any) string {
	raw, _ := json.Marshal(v)
	return text(raw)
}

// good is what an honest provider says of ada.
func (o *other) good() claims {
	return claims{
		"iss": o.URL, "aud": clientID, "sub": "ada", "nonce": "the nonce", "iat": time.Now().Unix(),
		"exp": time.Now().Add(time.Minute).Unix(), "email": "ada@example.org", "email_verified": true, "name": "Ada",
	}
}

func (s signer) sign(c claims) string {
	head := part(claims{"alg": "EdDSA", "kid": s.kid, "typ": "JWT"}) + "." + part(c)
	return head + "." + text(ed25519.Sign(s.key, []byte(head)))
}

// signedByHMAC takes the public key for a secret, as careless verifiers do.
func signedByHMAC(s signer, c claims) string {
	head := part(claims{"alg": "HS256", "kid": s.kid, "typ": "JWT"}) + "." + part(c)
	mac := hmac.New(sha256.New, s.public())
	mac.Write([]byte(head))
	return head + "." + text(mac.Sum(nil))
}

func unsigned(alg string, c claims) string {
	return part(claims{"alg": alg, "typ": "JWT"}) + "." + part(c) + "."
}

// relying is our side of it, with what it has logged.
type relying struct {
	*Providers
	log *strings.Builder
}

func relyOn(t *testing.T, o *other) relying {
	t.Helper()
	log := &strings.Builder{}
	p, err := New(slog.New(slog.NewTextHandler(log, nil)), Config{
		Provider: identity.Provider{Name: "other", Issuer: o.URL}, ClientID: clientID,
		ClientSecret: secret.NewString(clientSecret), RedirectURL: "https://rooms.example/back", AllowPrivate: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.byName["other"].client.Timeout = 2 * time.Second // a test of silence need not wait as long as people may
	return relying{p, log}
}

func (r relying) redeem(t *testing.T) (identity.ProviderClaims, error) {
	t.Helper()
	return r.Redeem(t.Context(), "other", identity.Answer{Code: "code"}, identity.Question{Nonce: "the nonce", Verifier: "verifier"})
}
