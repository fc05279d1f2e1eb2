package edge

import (
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/fault"
)

// limits is what a request owes and what has been said of it; both stages share it. Its arrays spare an allocation for
// rules with up to four limits, which is most of them.
type limits struct {
	charges  [4]routing.Charge
	verdicts [4]routing.Verdict
	policy   []byte
	state    []byte
	text     [2][96]byte // policy and state begin here
	values   [2]string
}

// limitStrangers charges what is known of everyone, so that guessing credentials is limited too.
func (x *exchange) limitStrangers() error { return x.charge(routing.BeforeAuth) }

// limitCallers charges what only a verified caller has.
func (x *exchange) limitCallers() error { return x.charge(routing.AfterAuth) }

// charge counts the request and writes the headers that say how much is left; they are on every answer, refused or not.
func (x *exchange) charge(stage routing.Stage) error {
	if len(x.rule.Limits) == 0 {
		return nil
	}
	caller := routing.Caller{
		Addr: x.client, Header: x.r.Header, Subject: x.caller.UserID, APIKeyID: x.caller.APIKeyID,
	}
	charges := x.rule.Charges(x.limits.charges[:0], stage, &caller)
	if len(charges) == 0 {
		return nil
	}
	verdicts := x.limits.verdicts[:]
	if len(charges) > len(verdicts) {
		verdicts = make([]routing.Verdict, len(charges))
	}
	verdicts = verdicts[:len(charges)]
	if err := x.edge.limiter.Take(x.r.Context(), charges, verdicts); err != nil {
		return err
	}
	x.tellLimits(charges, verdicts)
	if after, refused := routing.Refused(charges, verdicts); refused {
		return fault.Retry(fault.RateLimited, "too many requests; see Retry-After", after)
	}
	return nil
}

// tellLimits sets the headers that say how much is left, of both stages together.
func (x *exchange) tellLimits(charges []routing.Charge, verdicts []routing.Verdict) {
	l := &x.limits
	if l.policy == nil {
		l.policy, l.state = l.text[0][:0], l.text[1][:0]
	}
	l.policy = routing.AppendPolicyField(l.policy, charges)
	l.state = routing.AppendLimitField(l.state, charges, verdicts)
	if len(l.policy) == 0 {
		return
	}
	l.values = [2]string{string(l.policy), string(l.state)}
	h := x.w.Header()
	h["RateLimit-Policy"] = l.values[0:1:1]
	h["RateLimit"] = l.values[1:2:2]
}
