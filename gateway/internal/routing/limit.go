package routing

import (
	"context"
	"net/netip"
	"time"
)

// Limiter counts requests against rules, by GCRA: a rule of Limit requests a Window with Burst lets Burst requests pass
// at once and then one each Window/Limit. Implementations: one process, or a store that many gateways share.
type Limiter interface {
	// Take charges one request to each (rule, key) and fills verdicts[i] for charges[i]; verdicts must be as long as
	// charges. The charges stand together: when an Enforce rule refuses, none of the Enforce rules is charged; Shadow rules are
	// counted each on its own and never refuse. A limiter over a shared store that is lost counts this gateway's share by
	// itself instead of failing; so Take returns an error only when ctx ended first, and the verdicts then mean nothing.
	Take(ctx context.Context, charges []Charge, verdicts []Verdict) error
}

// LimitRule is one rule of a RateLimitPolicy, compiled.
type LimitRule struct {
	Policy     string // name of the RateLimitPolicy
	Name       string // name of the rule in it
	Generation int64  // of the RateLimitPolicy that is served

	By     KeyKind
	Header string // canonical name, with ByHeader
	Limit  int64  // requests a Window, at least 1
	Window time.Duration
	Burst  int64 // requests that may come at once, at least 1
	Shadow bool  // count and report, refuse nobody
	Quiet  bool  // not in RateLimit headers
}

// Label is how headers, metrics and people call the rule: "policy.rule".
func (l *LimitRule) Label() string { return l.Policy + "." + l.Name }

// KeyKind says whose requests are counted together.
type KeyKind uint8

// The kinds of key.
const (
	ByClient  KeyKind = iota + 1 // client address, IPv6 by /64
	BySubject                    // the caller's user id
	ByAPIKey                     // the caller's API key id
	ByHeader                     // the value of one header
)

// Key is whose requests are counted: comparable, so that it can be a map's key. The same value under another Kind is
// another key.
type Key struct {
	Kind KeyKind
	Addr netip.Addr // ByClient: IPv4, or the first address of the IPv6 /64
	Text string     // the others; values over 64 bytes are replaced by their SHA-256
}

// Charge is one request counted against one rule.
type Charge struct {
	Rule *LimitRule
	Key  Key
}

// Verdict is how one charge ended.
type Verdict struct {
	Allowed    bool          // for Shadow rules what would have been, see Refused
	Remaining  int64         // requests that could still pass at this moment
	ResetAfter time.Duration // until the key is as good as new
	RetryAfter time.Duration // until one request could pass; zero when Allowed
}

// Caller is what is known of a request when it is charged. Before authentication only Addr and Header are.
type Caller struct {
	Addr     netip.Addr
	Header   map[string][]string
	Subject  string
	APIKeyID string
}
