// Package tokentest is an auth service for tests: it signs access tokens, serves its key set and a revocation stream,
// and can be told to misbehave.
//
//	iss := tokentest.New(t)
//	v, view := iss.Verifier(t, "gateway")         // follows keys and revocations until the test ends
//	raw := iss.Mint(tokentest.Subject("u-1"), tokentest.Permissions("files:read:self"))
//	iss.Revoke(token.KindSession, tokentest.DefaultSession)
//
// The wire is the real one: whatever works against an Issuer talks to the auth service in the same words.
package tokentest

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/token"
)

// What an Issuer's tokens say unless told otherwise.
const (
	Name           = "https://auth.test"
	Audience       = "cloakroom"
	DefaultSubject = "01890000-0000-7000-8000-000000000001"
	DefaultSession = "01890000-0000-7000-8000-0000000000a1"
)

type signingKey struct {
	kid     string
	private ed25519.PrivateKey
}

// Issuer signs tokens and plays the auth service's internal listener. Its methods are safe for use by many goroutines.
type Issuer struct {
	// URL is where its server listens; see JWKSURL too. An Issuer from NewOffline answers only its own Client.
	URL string

	client *http.Client

	mu      sync.Mutex
	keys    []signingKey // the last one signs
	minted  int
	fetches int
	log     revocationLog
	mode    mode
	changed chan struct{} // closed, and replaced, at each change of anything above
}

// New starts an issuer on a loopback port, until the test ends.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := newIssuer()
	server := httptest.NewServer(i)
	i.URL, i.client = server.URL, server.Client()
	t.Cleanup(func() {
		i.setMode(closed)
		server.Close()
	})
	return i
}

// NewOffline makes an issuer without a network: its Client calls it within the process, which works under
// testing/synctest as well.
func NewOffline() *Issuer {
	i := newIssuer()
	i.URL, i.client = "http://issuer.test", InProcess(i)
	return i
}

func newIssuer() *Issuer {
	i := &Issuer{changed: make(chan struct{}), log: newRevocationLog()}
	i.RotateKey()
	return i
}

// Client returns a client that reaches this issuer.
func (i *Issuer) Client() *http.Client { return i.client }

// JWKSURL is the address of the key set.
func (i *Issuer) JWKSURL() string { return i.URL + "/.well-known/jwks.json" }

// Policy accepts this issuer's tokens.
func (i *Issuer) Policy() token.Policy {
	return token.Policy{Issuer: Name, Audiences: []string{Audience}, Leeway: 5 * time.Second}
}

// Verifier makes a verifier with its view, which follow this issuer until the test ends. It returns when both are ready.
func (i *Issuer) Verifier(t testing.TB, name string) (*token.Verifier, *token.View) {
	t.Helper()
	reg := prometheus.NewRegistry()
	view := token.NewView(token.ViewOptions{Registerer: reg})
	keys := token.NewJWKS(i.JWKSURL(), i.Client(), token.JWKSOptions{Registerer: reg})
	follower := token.NewFollower(i.URL, name, i.Client(), view, token.FollowerOptions{Registerer: reg})
	i.run(t, keys.Run, keys.Ready)
	i.run(t, follower.Run, follower.Ready)
	v := token.NewVerifier(keys, view, i.Policy(), reg)
	t.Cleanup(v.Close)
	return v, view
}

func (i *Issuer) run(t testing.TB, run, ready func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		err := ready(ctx)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %v", err)
		}
	}
}

// RotateKey makes a new signing key and publishes it beside the older ones. It returns the new kid.
func (i *Issuer) RotateKey() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(fmt.Sprintf("make a signing key: %v", err)) // the system has no randomness
	}
	kid := fmt.Sprintf("key-%d", len(i.keys)+1)
	i.keys = append(i.keys, signingKey{kid, private})
	return kid
}

// KeyID is the kid of the key that signs now.
func (i *Issuer) KeyID() string { return i.current().kid }

func (i *Issuer) current() signingKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// JWKSFetches counts the answers of the key set's address.
func (i *Issuer) JWKSFetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func (i *Issuer) serveJWKS(w http.ResponseWriter) {
	type jwk struct {
		KeyType   string `json:"kty"`
		Curve     string `json:"crv"`
		X         string `json:"x"`
		ID        string `json:"kid"`
		Algorithm string `json:"alg"`
		Use       string `json:"use"`
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	i.mu.Lock()
	i.fetches++
	for _, k := range i.keys {
		x := base64.RawURLEncoding.EncodeToString(k.private.Public().(ed25519.PublicKey))
		set.Keys = append(set.Keys, jwk{"OKP", "Ed25519", x, k.kid, "EdDSA", "sig"})
	}
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_ = json.NewEncoder(w).Encode(set)
}
