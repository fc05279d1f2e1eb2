package routing

import (
	"slices"
	"strings"
	"time"

	"cloakroom.dev/libs/principal"
)

// Rule is one compiled rule of a Route: everything the edge does with a request that matched it. It is shared by all
// requests and must not be changed.
type Rule struct {
	Route      string // name of the Route: metric label, span name, log field
	Name       string // the rule's own name, or its place in the Route: "2"
	Generation int64  // generation of the Route that is served; older than the newest when that one was not accepted

	Auth    Auth
	Require []principal.Permission // all of them, see Allows
	Limits  []*LimitRule           // in the order of the policies, see Charges
	CORS    *CORS                  // nil: no cross-origin reading
	Request HeaderEdit             // applied to what goes upstream, after identity headers were stripped
	Answer  HeaderEdit             // applied to what comes back
	Path    Rewrite

	MaxBodyBytes int64 // most bytes of a request body, the gateway's own limit when the Route sets none; 0 is no bound
	Timeouts     Timeouts
	Retries      int       // how often a request that failed may be sent again, to another address
	Backends     []Backend // weights above 0 only, see Target

	// Refusal is how the gateway's own refusals look here; nil is problem documents.
	Refusal *Refusal

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

// Timeouts bound one exchange; zero is no bound. They end when a connection is upgraded.
type Timeouts struct {
	Request        time.Duration // from the end of the request's header to the last byte of the answer
	ResponseHeader time.Duration // from the end of the request to the beginning of the upstream's answer
}

// Backend is one upstream with its share of the requests.
type Backend struct {
	Upstream string // name in GatewayConfig's upstreams
	Weight   int64  // above 0
}

// CORS says which pages of other origins may call a rule from a browser.
type CORS struct {
	AnyOrigin     bool
	Origins       []string // exact, lower case
	Methods       []string
	Headers       []string // lower case
	ExposeHeaders []string
	Credentials   bool
	MaxAge        time.Duration
}

// Admits reports whether a page of this origin may read answers.
func (c *CORS) Admits(origin string) bool {
	return c.AnyOrigin || slices.Contains(c.Origins, strings.ToLower(origin))
}

// Allows reports whether the caller's permissions cover all the rule requires. A permission of scope self is also covered
// by the same one of scope all. Whose thing it is only the service can tell, so it checks again.
func (r *Rule) Allows(p principal.Principal) bool {
	for _, need := range r.Require {
		if !p.May(need.Resource, need.Action, need.Scope == principal.Self) {
			return false
		}
	}
	return true
}

// Target picks the upstream by weight, given a number that is uniform over uint64. It must not be called on a refused rule.
func (r *Rule) Target(random uint64) string {
	if len(r.Backends) == 1 {
		return r.Backends[0].Upstream
	}
	var total uint64
	for _, b := range r.Backends {
		total += uint64(b.Weight)
	}
	at := random % total
	for _, b := range r.Backends {
		if at < uint64(b.Weight) {
			return b.Upstream
		}
		at -= uint64(b.Weight)
	}
	return ""
}
