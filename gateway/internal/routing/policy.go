package routing

import "time"

// TokenPolicy is a compiled TokenPolicy: how a caller's token is found, verified and shown to services.
type TokenPolicy struct {
	Name       string
	Generation int64
	Issuer     string
	Audiences  []string
	Algorithms []string
	JWKSURL    string // empty: the auth service's own
	Leeway     time.Duration
	Header     string // where the token is, canonical; empty: not in a header
	Cookie     string // or the cookie's name
	CacheSize  int

	Revocation Revocation
	Claims     []ClaimHeader
}

// Revocation says how a policy learns that a token is dead.
type Revocation struct {
	Introspect   bool // ask the auth service for each request instead of trusting the view
	MaxStaleness time.Duration
	OnStale      OnStale
}

// OnStale says what happens to authenticated requests when the view is older than MaxStaleness.
type OnStale uint8

// Deny answers 503; Ask asks the auth service for each request.
const (
	Deny OnStale = iota
	Ask
)

// ClaimHeader copies one claim into a header for services. Clients can never send it: it is stripped on every route.
type ClaimHeader struct{ Claim, Header string }
