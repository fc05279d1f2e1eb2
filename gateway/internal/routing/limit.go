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
	// counted each on its own and never refuse. Take returns an error (fault.Unavailable) only when it could not count at all;
	// the verdicts then mean nothing and the caller goes by each rule's OnStoreFailure.
	Take(ctx context.Context, charges []Charge, verdicts []Verdict) error
}

// LimitRule is one rule of a RateLimitPolicy, compiled.
type LimitRule struct {
	Policy string // name of the RateLimitPolicy
	Name   string // name of the rule in it
	Label  string // how headers and metrics call it: unique among rules, printable ASCII

	By             KeyKind
	Header         string // canonical name, when By is ByHeader
	Limit          int64  // requests a Window, at least 1
	Window         time.Duration
	Burst          int64 // requests that may come at once, at least 1
	Shadow         bool  // count and report, refuse nobody
	Quiet          bool  // no RateLimit headers for this rule
	OnStoreFailure StoreFailure
}

// KeyKind says whose requests are counted together.
type KeyKind uint8

// The kinds of key.
const (
	ByClient  KeyKind = iota + 1 // client address; IPv6 by /64
	BySubject                    // the caller's user id
	ByAPIKey                     // the caller's API key id
	ByHeader                     // the value of one header
)

// StoreFailure says what happens when a shared store can't be asked.
type StoreFailure uint8

// The answers to a lost store. LocalShare is the zero value.
const (
	LocalShare StoreFailure = iota // this gateway counts its share by itself
	Refuse                         // 503
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
	Allowed    bool          // false only for a rule that refuses; for Shadow rules what would have been
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
