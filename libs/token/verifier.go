package token

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/problem"
)

// Policy says which tokens are accepted.
type Policy struct {
	Issuer     string        // iss, exact
	Audiences  []string      // each aud of a token must be one of these
	Algorithms []string      // of EdDSA, ES256, ES512, RS256, RS512; empty means EdDSA
	Leeway     time.Duration // for iat and nbf in the future, at most 30 s; exp has none
	CacheSize  int           // verified tokens remembered; 0 means 16384, negative none
	// Introspect, when given, is asked for each request while the view is not fresh (mode Introspect); without it such
	// requests are refused with fault.Unavailable (mode Deny).
	Introspect func(ctx context.Context, raw string) (principal.Principal, error)
}

// Validate reports what is wrong with the policy.
func (p Policy) Validate() error { return nil }

// Verifier turns access tokens into principals. It is safe for use by many goroutines.
type Verifier struct{}

// NewVerifier makes a verifier. One whose policy does not Validate refuses every token with fault.Unavailable.
func NewVerifier(keys KeySource, view *View, policy Policy, reg prometheus.Registerer) *Verifier {
	return &Verifier{}
}

// Verify returns whom the token speaks for. It returns fault.InvalidToken for anything that is not a live token of ours,
// fault.TokenExpired and fault.TokenStale for genuine ones past their life or older than a change of rights, and
// fault.Unavailable when keys or revocations are not known. The principal's slices are shared: don't change them.
func (v *Verifier) Verify(ctx context.Context, raw string) (principal.Principal, error) {
	return principal.Principal{}, fault.New(fault.Unavailable, "signing keys are not available")
}

// Require lets only requests with a live token through, with their principal in the context, and cancels them when it
// is revoked.
func (v *Verifier) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.New(fault.Unavailable, "signing keys are not available"))
	})
}

// Close forgets the cache. A verifier that a newer one replaces is closed, so that the metrics stay true.
func (v *Verifier) Close() {}

// Bearer returns the one bearer token of a request's Authorization header. It returns fault.Unauthenticated when there
// is none, and fault.Invalid when there are several headers.
func Bearer(r *http.Request) (string, error) {
	return "", fault.New(fault.Unauthenticated, "a bearer token is required")
}
