package routing

import (
	"time"

	"cloakroom.dev/libs/principal"
)

// Rule is one compiled rule of a Route: everything the edge does with a request that matched it. It is shared by all
// requests and must not be changed.
type Rule struct {
	Route      string // name of the Route: metric label, span name, log field
	Index      int    // place of the rule in its Route, from 0
	Generation int64  // generation of the Route that is served; older than the newest when that one was not accepted

	Auth    Auth
	Require []principal.Permission // all of them, see Allows
	Limits  []*LimitRule           // in the order of the policies, see Charges
	CORS    *CORS                  // nil: no cross-origin reading
	Request HeaderEdit             // applied to what goes upstream, after identity headers were stripped
	Answer  HeaderEdit             // applied to what comes back
	Path    Rewrite

	MaxBodyBytes int64 // 0: the gateway's own limit
	Timeouts     Timeouts
	Backends     []Backend // weights above 0 only, see Target
	Mirror       string    // upstream that gets a copy, or empty

	// Refused is why this rule must answer 503 instead of being served, in one sentence for the log; empty means serve.
	Refused string
}

// Auth is the rule's explicit decision on authentication: exactly one of the two is set.
type Auth struct {
	Policy          *TokenPolicy // verify a token of this policy
	AnonymousReason string       // why nobody need show one
}

// Anonymous reports whether the rule lets everybody pass. It fails closed: the zero Auth is not anonymous.
func (a Auth) Anonymous() bool { return a.Policy == nil && a.AnonymousReason != "" }

// HeaderEdit changes a set of headers: first Remove, then Set (replaces), then Add (appends).
type HeaderEdit struct {
	Remove []string // canonical names
	Set    []Header
	Add    []Header
}

// Header is one header field; Name is canonical.
type Header struct{ Name, Value string }

// Timeouts bound one exchange; zero means the gateway's default.
type Timeouts struct {
	Request time.Duration // from the first byte read to the last byte sent
	Backend time.Duration // from the request sent upstream to its answer's headers
	Idle    time.Duration // longest silence of a running body or upgraded connection
}

// Backend is one upstream with its share of the requests.
type Backend struct {
	Upstream string // name in GatewayConfig's upstreams
	Weight   int64  // above 0
}

// CORS says who may read answers from a page of another origin.
type CORS struct {
	Origins       []string // "https://app.example", "https://*.example", or "*" alone
	Methods       []string
	Headers       []string
	ExposeHeaders []string
	Credentials   bool
	MaxAge        time.Duration
}
