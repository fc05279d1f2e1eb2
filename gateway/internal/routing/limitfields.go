package routing

import (
	"strconv"
	"time"
)

// Refused reports whether any Enforce rule refused, and after how long all of those that did would let one request pass.
func Refused(charges []Charge, verdicts []Verdict) (retryAfter time.Duration, refused bool) {
	for i, c := range charges {
		if !c.Rule.Shadow && !verdicts[i].Allowed {
			refused = true
			retryAfter = max(retryAfter, verdicts[i].RetryAfter)
		}
	}
	return retryAfter, refused
}

// AppendPolicyField appends the value of RateLimit-Policy for these charges (draft-ietf-httpapi-ratelimit-headers-11): a
// list of the rules by label with quota and window. It appends nothing when no rule is to be shown, and continues a list
// that dst already holds. Shadow rules are not shown: they are a trial that clients should not adapt to.
func AppendPolicyField(dst []byte, charges []Charge) []byte {
	for _, c := range charges {
		if c.Rule.Shadow || c.Rule.Quiet {
			continue
		}
		dst = appendMember(dst, c.Rule)
		dst = append(dst, ";q="...)
		dst = strconv.AppendInt(dst, c.Rule.Limit, 10)
		dst = append(dst, ";w="...)
		dst = strconv.AppendInt(dst, seconds(c.Rule.Window), 10)
	}
	return dst
}

// AppendLimitField appends the value of RateLimit: what remains of each rule shown, and when it is whole again.
func AppendLimitField(dst []byte, charges []Charge, verdicts []Verdict) []byte {
	for i, c := range charges {
		if c.Rule.Shadow || c.Rule.Quiet {
			continue
		}
		dst = appendMember(dst, c.Rule)
		dst = append(dst, ";r="...)
		dst = strconv.AppendInt(dst, verdicts[i].Remaining, 10)
		dst = append(dst, ";t="...)
		dst = strconv.AppendInt(dst, seconds(verdicts[i].ResetAfter), 10)
	}
	return dst
}

// appendMember begins a list member. Names of resources need no escaping in a structured string.
func appendMember(dst []byte, rule *LimitRule) []byte {
	if len(dst) > 0 {
		dst = append(dst, ", "...)
	}
	dst = append(dst, '"')
	dst = append(dst, rule.Policy...)
	dst = append(dst, '.')
	dst = append(dst, rule.Name...)
	return append(dst, '"')
}

// seconds rounds up: a client that waits as long as it was told must not be refused again.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
