package harness

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Provider is an OpenID Connect provider that says whatever a test wants. Written from the standard, with no library.
type Provider struct {
	URL string

	mu     sync.Mutex
	server *httptest.Server
	key    *rsa.PrivateKey
	says   map[string]Word // by code
	calls  map[string]int  // by path
	Answer http.HandlerFunc
}

// Word is what the provider answers to one code.
type Word struct {
	Claims    map[string]any // in place of or besides the honest ones; nil removes
	Algorithm string         // RS256, none, or HS256 with the public key as the secret
	Foreign   bool           // signed by a key that is not published
}

// NewProvider starts one on loopback.
func NewProvider(t testing.TB) *Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{key: key, says: map[string]Word{}, calls: map[string]int{}}
	p.server = httptest.NewServer(p)
	p.URL = p.server.URL
	t.Cleanup(p.server.Close)
	return p
}

// Close ends it: from now on nobody answers there.
func (p *Provider) Close() { p.server.CloseClientConnections(); p.server.Close() }

// Set changes how it answers everything; nil is honest again.
func (p *Provider) Set(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Answer = answer
}

// Say makes a code. The subject and the nonce are honest unless the word says otherwise.
func (p *Provider) Say(code, nonce, subject string, w Word) {
	p.mu.Lock()
	defer p.mu.Unlock()
	claims := map[string]any{
		"iss": p.URL, "aud": "cloakroom", "sub": subject, "nonce": nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, w.Claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	w.Claims = claims
	p.says[code] = w
}

// Calls is how often a path was asked for.
func (p *Provider) Calls(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[path]
}

func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.calls[r.URL.Path]++
	answer := p.Answer
	p.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		})
	case "/keys":
		e := big.NewInt(int64(p.key.E)).Bytes()
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "use": "sig", "kid": "1", "n": base64.RawURLEncoding.EncodeToString(p.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(e),
		}}})
	case "/token":
		p.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	word, ok := p.says[r.PostFormValue("code")]
	delete(p.says, r.PostFormValue("code"))
	p.mu.Unlock()
	if !ok || r.PostFormValue("code_verifier") == "" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": p.sign(word),
	})
}

func (p *Provider) sign(word Word) string {
	if word.Algorithm == "" {
		word.Algorithm = "RS256"
	}
	head, _ := json.Marshal(map[string]string{"alg": word.Algorithm, "kid": "1", "typ": "JWT"})
	body, _ := json.Marshal(word.Claims)
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	var mac []byte
	switch word.Algorithm {
	case "none":
	case "HS256":
		public, _ := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
		h := hmac.New(sha256.New, public)
		h.Write([]byte(text))
		mac = h.Sum(nil)
	default:
		key := p.key
		if word.Foreign {
			key, _ = rsa.GenerateKey(rand.Reader, 2048)
		}
		mac, _ = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// Block is the resource of this provider, in YAML.
func (p *Provider) Block(name, more string) string {
	lines := []string{
		"  - name: " + name, "    displayName: " + name, "    issuer: " + p.URL, "    clientID: cloakroom", "    allowPrivateAddresses: true",
		"    returnURLs: ['https://app.example/in', 'com.example.app:/in']",
	}
	if more != "" {
		lines = append(lines, "    "+more)
	}
	return strings.Join(lines, "\n") + "\n"
}
