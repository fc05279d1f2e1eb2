package routing

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
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

// key says whose request this is. A request that lacks what the rule counts by is counted by its address, so leaving a
// header out never leaves the limit.
func (l *LimitRule) key(c *Caller) Key {
	switch l.By {
	case BySubject:
		if c.Subject != "" {
			return Key{Kind: BySubject, Text: boundText(c.Subject)}
		}
	case ByAPIKey:
		if c.APIKeyID != "" {
			return Key{Kind: ByAPIKey, Text: boundText(c.APIKeyID)}
		}
	case ByHeader:
		if value, ok := headerValue(c.Header, l.Header); ok {
			return Key{Kind: ByHeader, Text: boundText(value)}
		}
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

// String is the key for a shared store and for people: "client:192.0.2.1", "subject:0192…". Distinct keys have distinct
// texts.
func (k Key) String() string {
	switch k.Kind {
	case BySubject:
		return "subject:" + k.Text
	case ByAPIKey:
		return "api_key:" + k.Text
	case ByHeader:
		return "header:" + k.Text
	default:
		return "client:" + k.Addr.String()
	}
}
