package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"
	"golang.org/x/crypto/bcrypt"

	"cloakroom.dev/tests/harness"
)

// realProvider is somebody else's OpenID Connect provider, fosite, in its strict settings: PKCE is enforced and the client
// must authenticate. Whoever comes is ada.
type realProvider struct {
	*httptest.Server
	store *storage.MemoryStore
	oauth fosite.OAuth2Provider
	key   *rsa.PrivateKey
}

func newRealProvider(t *testing.T) *realProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &realProvider{store: storage.NewMemoryStore(), key: key}
	config := &fosite.Config{GlobalSecret: []byte("some-cool-secret-that-is-32bytes"), EnforcePKCE: true}
	p.oauth = compose.ComposeAllEnabled(config, p.store, key)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.describe)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *realProvider) describe(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
	})
}

func (p *realProvider) keys(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "n": base64.RawURLEncoding.EncodeToString(p.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(p.key.E)).Bytes()),
	}}})
}

func (p *realProvider) authorize(w http.ResponseWriter, r *http.Request) {
	ask, err := p.oauth.NewAuthorizeRequest(r.Context(), r)
	if err != nil {
		p.oauth.WriteAuthorizeError(r.Context(), w, ask, err)
		return
	}
	for _, scope := range ask.GetRequestedScopes() {
		ask.GrantScope(scope)
	}
	now := time.Now()
	answer, err := p.oauth.NewAuthorizeResponse(r.Context(), ask, &openid.DefaultSession{
		Subject: "ada", Headers: &jwt.Headers{}, Claims: &jwt.IDTokenClaims{
			Issuer: p.URL, Subject: "ada", IssuedAt: now, RequestedAt: now, AuthTime: now, ExpiresAt: now.Add(time.Hour),
			Extra: map[string]any{"email": "ada@example.org", "email_verified": true, "name": "Ada"},
		},
	})
	if err != nil {
		p.oauth.WriteAuthorizeError(r.Context(), w, ask, err)
		return
	}
	p.oauth.WriteAuthorizeResponse(r.Context(), w, ask, answer)
}

func (p *realProvider) token(w http.ResponseWriter, r *http.Request) {
	ask, err := p.oauth.NewAccessRequest(r.Context(), r, &openid.DefaultSession{Headers: &jwt.Headers{}, Claims: &jwt.IDTokenClaims{}})
	if err != nil {
		p.oauth.WriteAccessError(r.Context(), w, ask, err)
		return
	}
	answer, err := p.oauth.NewAccessResponse(r.Context(), ask)
	if err != nil {
		p.oauth.WriteAccessError(r.Context(), w, ask, err)
		return
	}
	p.oauth.WriteAccessResponse(r.Context(), w, ask, answer)
}

func TestSignInWithARealProvider(t *testing.T) {
	p := newRealProvider(t)
	block := "  identityProviders:\n  - {name: real, displayName: Real, issuer: '" + p.URL + "', clientID: cloakroom, clientSecret: {env: REAL_SECRET}," +
		" returnURLs: ['https://app.example/in'], allowPrivateAddresses: true}\n  sessionPolicyRef:\n"
	config := harness.ConfigDir(t, harness.Replace(t, "  sessionPolicyRef:\n", block))
	c := harness.NewClient(t, harness.Start(t, "CONFIG_DIR="+config, "REAL_SECRET=hush").Public)
	for range 2 {
		sum := sha256.Sum256([]byte("verifier"))
		start := c.Do("GET", "/v1/auth/providers/real/start?code_challenge="+base64.RawURLEncoding.EncodeToString(sum[:]), nil).Is(302)
		to, _ := url.Parse(start.Header.Get("Location"))
		p.register(t, to.Query().Get("redirect_uri"))
		there, err := c.HTTP().Get(to.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = there.Body.Close()
		back, err := url.Parse(there.Header.Get("Location"))
		if err != nil || back.Query().Get("code") == "" {
			t.Fatalf("the provider answers %d, %s", there.StatusCode, back)
		}
		home := c.Do("GET", back.RequestURI(), nil, harness.Header("Cookie", start.Header.Get("Set-Cookie"))).Is(303)
		at, _ := url.Parse(home.Header.Get("Location"))
		var in struct {
			User    harness.User    `json:"user"`
			Session harness.Session `json:"session"`
		}
		c.Do("POST", "/v1/auth/providers/exchange", map[string]string{"code": at.Query().Get("code"), "code_verifier": "verifier"}).Is(200).JSON(&in)
		if in.User.Email != "ada@example.org" || in.Session.AccessToken == "" {
			t.Fatalf("came in as %+v", in.User)
		}
	}
}

// register makes the gateway a client that must authenticate.
func (p *realProvider) register(t *testing.T, redirect string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("hush"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	p.store.Clients["cloakroom"] = &fosite.DefaultClient{
		ID: "cloakroom", Secret: hash, RedirectURIs: []string{redirect}, ResponseTypes: []string{"code"},
		GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid", "email", "profile"},
	}
}
