package limitmem

import (
	"math"
	"math/bits"
	"time"

	"cloakroom.dev/gateway/internal/routing"
)

// GCRA keeps one instant a key: the theoretical arrival time (TAT), at which the key's debt is paid off. Each request that
// passes moves it one emission interval (window/limit) further from now; a request may pass while the TAT then is at most
// burst intervals ahead. window/limit is rarely a whole number of nanoseconds, so instants carry a fraction whose
// denominator is the limit: nothing is lost however long a key lives.

// instant is ns + frac/limit nanoseconds since the limiter was made; 0 <= frac < limit.
type instant struct {
	ns   int64
	frac int64
}

func (a instant) after(b instant) bool {
	return a.ns > b.ns || a.ns == b.ns && a.frac > b.frac
}

// ceil is the whole nanosecond at or after the instant.
func (a instant) ceil() int64 {
	if a.frac > 0 {
		return a.ns + 1
	}
	return a.ns
}

// quota is a rule's arithmetic.
type quota struct {
	window, limit int64
	burst         int64
	interval      instant // window/limit
	tolerance     instant // burst intervals: the largest debt
}

func newQuota(r *routing.LimitRule) quota {
	q := quota{window: int64(r.Window), limit: r.Limit, burst: r.Burst}
	q.interval = instant{q.window / q.limit, q.window % q.limit}
	hi, lo := bits.Mul64(uint64(q.burst), uint64(q.window))
	if hi >= uint64(q.limit) {
		q.tolerance = instant{ns: math.MaxInt64 / 4} // 73 years to refill: no clock of ours gets there
		return q
	}
	whole, rest := bits.Div64(hi, lo, uint64(q.limit))
	q.tolerance = instant{int64(min(whole, math.MaxInt64/4)), int64(rest)}
	return q
}

func (q *quota) add(a, b instant) instant {
	sum := instant{a.ns + b.ns, a.frac + b.frac}
	if sum.frac >= q.limit {
		sum.ns, sum.frac = sum.ns+1, sum.frac-q.limit
	}
	return sum
}

func (q *quota) sub(a, b instant) instant {
	diff := instant{a.ns - b.ns, a.frac - b.frac}
	if diff.frac < 0 {
		diff.ns, diff.frac = diff.ns-1, diff.frac+q.limit
	}
	return diff
}

// bound brings a stored TAT to what this rule can mean: never before now, never deeper in debt than exhausted. The second
// matters when a rule was edited: debts of the old window must not lock a key out of the new one.
func (q *quota) bound(tat instant, now int64) instant {
	tat.frac = min(tat.frac, q.limit-1)
	here := instant{ns: now}
	if here.after(tat) {
		return here
	}
	if deepest := q.add(here, q.tolerance); tat.after(deepest) {
		return deepest
	}
	return tat
}

// take decides on one request at now, given the bounded TAT, and returns the TAT if it passes.
func (q *quota) take(tat instant, now int64) (after instant, allowed bool) {
	after = q.add(tat, q.interval)
	return after, !after.after(q.add(instant{ns: now}, q.tolerance))
}

// verdict describes a key whose bounded TAT is tat.
func (q *quota) verdict(tat instant, now int64, allowed bool) routing.Verdict {
	here := instant{ns: now}
	v := routing.Verdict{Allowed: allowed, ResetAfter: time.Duration(q.sub(tat, here).ceil())}
	room := q.sub(q.add(here, q.tolerance), tat)
	v.Remaining = q.intervals(room)
	if !allowed {
		v.RetryAfter = time.Duration(max(0, q.sub(q.interval, room).ceil()))
	}
	return v
}

// intervals is how many whole emission intervals fit into d: floor(d*limit/window), exact in 128 bits.
func (q *quota) intervals(d instant) int64 {
	if d.ns < 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(d.ns), uint64(q.limit))
	lo, carry := bits.Add64(lo, uint64(d.frac), 0)
	hi += carry
	if hi >= uint64(q.window) {
		return q.burst
	}
	n, _ := bits.Div64(hi, lo, uint64(q.window))
	return min(int64(min(n, math.MaxInt64)), q.burst)
}
