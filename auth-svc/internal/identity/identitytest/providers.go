package identitytest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"sync"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"
)

// Elsewhere stands in for identity providers. Each code it hands out stands for the claims that were put there, and is held
// against the question it was given for.
type Elsewhere struct {
	Providers []identity.Provider
	Down      bool

	mu     sync.Mutex
	asked  map[string]identity.Question // by state
	claims map[string]identity.ProviderClaims
}

var _ identity.Providers = (*Elsewhere)(nil)

// NewElsewhere has two providers: big, which makes new people and links by address, and small, which does neither.
func NewElsewhere() *Elsewhere {
	return &Elsewhere{
		Providers: []identity.Provider{
			{Name: "big", DisplayName: "Big", Issuer: "https://big.example", ReturnURLs: []string{"https://app.example/in?x=1", "app.example:/in"}, SignUp: true, LinkByEmail: true},
			{Name: "small", DisplayName: "Small", Issuer: "https://small.example", ReturnURLs: []string{"https://app.example/in"}},
		},
		asked: map[string]identity.Question{}, claims: map[string]identity.ProviderClaims{},
	}
}

// List is both.
func (e *Elsewhere) List() []identity.Provider { return e.Providers }

var errElsewhereDown = fault.New(fault.Unavailable, "down")

// AuthorizationURL has the state in its query.
func (e *Elsewhere) AuthorizationURL(_ context.Context, provider string, q identity.Question) (string, error) {
	if e.Down {
		return "", errElsewhereDown
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked[q.State] = q
	return "https://" + provider + ".example/authorize?" + url.Values{"state": {q.State}, "nonce": {q.Nonce}}.Encode(), nil
}

// CheckIssuer knows the issuers of its own.
func (e *Elsewhere) CheckIssuer(_ context.Context, provider string, a identity.Answer) error {
	if a.Issuer != "" && a.Issuer != "https://"+provider+".example" {
		return fault.New(fault.InvalidCredentials, "another issuer")
	}
	return nil
}

// Redeem takes a code of Confirm, once, for the question it was asked.
func (e *Elsewhere) Redeem(_ context.Context, provider string, a identity.Answer, q identity.Question) (identity.ProviderClaims, error) {
	if e.Down {
		return identity.ProviderClaims{}, errElsewhereDown
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	claims, ok := e.claims[provider+a.Code]
	delete(e.claims, provider+a.Code)
	if !ok || e.asked[q.State] != q {
		return identity.ProviderClaims{}, fault.New(fault.InvalidCredentials, "no such code")
	}
	return claims, nil
}

// Confirm makes a code.
func (e *Elsewhere) Confirm(provider, code string, claims identity.ProviderClaims) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.claims[provider+code] = claims
}

// SignInVerifier is what tests begin sign-ins with, and SignInChallenge its hash.
const SignInVerifier = "a verifier that only the client has"

// SignInChallenge belongs to SignInVerifier.
func SignInChallenge() string {
	sum := sha256.Sum256([]byte(SignInVerifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// StartSignIn begins a sign-in in a browser and returns its state.
func (w *World) StartSignIn(provider, browser string) (state string) {
	w.T.Helper()
	to, err := w.Service.StartSignIn(w.T.Context(), identity.SignInStart{
		Provider: provider, Challenge: SignInChallenge(), Browser: secret.NewString(browser), Client: Laptop,
	})
	if err != nil {
		w.T.Fatalf("start: %v", err)
	}
	return query(to, "state")
}

// SignInCode goes through a provider and returns the one-time code.
func (w *World) SignInCode(e *Elsewhere, provider string, claims identity.ProviderClaims) secret.String {
	w.T.Helper()
	state := w.StartSignIn(provider, "browser")
	e.Confirm(provider, "code of "+state, claims)
	to, err := w.Service.FinishSignIn(w.T.Context(), identity.SignInReturn{
		Provider: provider, State: secret.NewString(state), Browser: secret.NewString("browser"), Answer: identity.Answer{Code: "code of " + state},
	})
	if err != nil {
		w.T.Fatalf("finish: %v", err)
	}
	return secret.NewString(query(to, "code"))
}

// SignIn goes all the way.
func (w *World) SignIn(e *Elsewhere, provider string, claims identity.ProviderClaims) (identity.Entry, error) {
	w.T.Helper()
	return w.Service.ExchangeSignIn(w.T.Context(), identity.ExchangeInput{
		Code: w.SignInCode(e, provider, claims), Verifier: secret.NewString(SignInVerifier), Client: Laptop,
	})
}

func query(raw, name string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Query().Get(name)
}
