package routing

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"

	"cloakroom.dev/libs/principal"
)

// maxKeyText bounds what a client can make a limiter remember a key.
const maxKeyText = 64

// Stage says when a request is charged.
type Stage uint8

// BeforeAuth charges what is known of any request, so that guessing tokens is limited as well; AfterAuth charges what only
// a verified caller has. Each rule is charged in exactly one of them.
const (
	BeforeAuth Stage = iota
	AfterAuth
)

// Charges appends to dst what a request owes at this stage. dst may be reused between requests.
func (r *Rule) Charges(dst []Charge, stage Stage, c *Caller) []Charge {
	for _, limit := range r.Limits {
		if r.stage(limit) == stage {
			dst = append(dst, Charge{Rule: limit, Key: limit.key(c)})
		}
	}
	return dst
}

func (r *Rule) stage(limit *LimitRule) Stage {
	verified := limit.By == BySubject || limit.By == ByAPIKey
	if verified && !r.Auth.Anonymous() {
		return AfterAuth
	}
	return BeforeAuth
}

// key says whose request this is. A request that lacks what the rule counts by falls back to the next thing known of it
// (API key, subject, client address), so leaving a header out never leaves the limit.
func (l *LimitRule) key(c *Caller) Key {
	switch {
	case l.By == ByHeader:
		if value, ok := headerValue(c.Header, l.Header); ok {
			return Key{Kind: ByHeader, Text: boundText(value)}
		}
	case l.By == ByAPIKey && c.APIKeyID != "":
		return Key{Kind: ByAPIKey, Text: boundText(c.APIKeyID)}
	case l.By != ByClient && c.Subject != "":
		return Key{Kind: BySubject, Text: boundText(c.Subject)}
	}
	return Key{Kind: ByClient, Addr: clientKey(c.Addr)}
}

// clientKey is the address whose requests are counted together. An IPv6 customer owns at least a /64; an IPv4 address
// written as IPv6 is the same client.
func clientKey(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return p.Addr()
}

func boundText(s string) string {
	if len(s) <= maxKeyText {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// String is the key for a shared store and for people: "client:192.0.2.1", "subject:…". Distinct keys have distinct texts.
func (k Key) String() string {
	switch k.Kind {
	case ByClient:
		return "client:" + k.Addr.String()
	case BySubject:
		return "subject:" + k.Text
	case ByAPIKey:
		return "api_key:" + k.Text
	case ByHeader:
		return "header:" + k.Text
	default:
		return strconv.Itoa(int(k.Kind)) + ":" + k.Text
	}
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
