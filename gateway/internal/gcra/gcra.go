// Package gcra is the arithmetic of rate limits, for whoever keeps the counts and wherever.
//
// GCRA keeps one Instant a key: the theoretical arrival time (TAT), at which the key's debt is paid off. Each request that
// passes moves it one emission interval (window/limit) further from now; a request may pass while the TAT then is at most
// burst intervals ahead. window/limit is rarely a whole number, so instants carry a fraction whose denominator is the
// limit: nothing is lost however long a key lives.
package gcra

import (
	"math"
	"math/bits"
	"time"

	"cloakroom.dev/gateway/internal/routing"
)

// Instant is Units + Frac/limit units of time after whatever the keeper counts from; 0 <= Frac < limit.
type Instant struct {
	Units int64
	Frac  int64
}

// After reports whether a is later than b.
func (a Instant) After(b Instant) bool {
	return a.Units > b.Units || a.Units == b.Units && a.Frac > b.Frac
}

// Ceil is the whole unit at or after the instant.
func (a Instant) Ceil() int64 {
	if a.Frac > 0 {
		return a.Units + 1
	}
	return a.Units
}

// Quota is a rule's arithmetic.
type Quota struct {
	unit          time.Duration
	window, limit int64
	burst         int64
	interval      Instant // window/limit
	tolerance     Instant // burst intervals: the largest debt
}

// New makes the arithmetic of a rule in units of time, of which the rule's window must be a whole number.
func New(r *routing.LimitRule, unit time.Duration) Quota {
	q := Quota{unit: unit, window: int64(r.Window / unit), limit: r.Limit, burst: r.Burst}
	q.interval = Instant{q.window / q.limit, q.window % q.limit}
	hi, lo := bits.Mul64(uint64(q.burst), uint64(q.window))
	if hi >= uint64(q.limit) {
		q.tolerance = Instant{Units: math.MaxInt64 / 4} // with nanoseconds 73 years to refill: no clock of ours gets there
		return q
	}
	whole, rest := bits.Div64(hi, lo, uint64(q.limit))
	q.tolerance = Instant{int64(min(whole, math.MaxInt64/4)), int64(rest)}
	return q
}

// Interval is how long one request takes to be paid off.
func (q *Quota) Interval() Instant { return q.interval }

// Tolerance is the largest debt.
func (q *Quota) Tolerance() Instant { return q.tolerance }

func (q *Quota) add(a, b Instant) Instant {
	sum := Instant{a.Units + b.Units, a.Frac + b.Frac}
	if sum.Frac >= q.limit {
		sum.Units, sum.Frac = sum.Units+1, sum.Frac-q.limit
	}
	return sum
}

func (q *Quota) sub(a, b Instant) Instant {
	diff := Instant{a.Units - b.Units, a.Frac - b.Frac}
	if diff.Frac < 0 {
		diff.Units, diff.Frac = diff.Units-1, diff.Frac+q.limit
	}
	return diff
}

// Bound brings a stored TAT to what this rule can mean: never before now, never deeper in debt than exhausted. The second
// matters when a rule was edited: debts of the old window must not lock a key out of the new one.
func (q *Quota) Bound(tat Instant, now int64) Instant {
	tat.Frac = min(tat.Frac, q.limit-1)
	here := Instant{Units: now}
	if here.After(tat) {
		return here
	}
	if deepest := q.add(here, q.tolerance); tat.After(deepest) {
		return deepest
	}
	return tat
}

// Take decides on one request at now, given the bounded TAT, and returns the TAT if it passes.
func (q *Quota) Take(tat Instant, now int64) (after Instant, allowed bool) {
	after = q.add(tat, q.interval)
	return after, !after.After(q.add(Instant{Units: now}, q.tolerance))
}

// Verdict describes a key whose bounded TAT is tat.
func (q *Quota) Verdict(tat Instant, now int64, allowed bool) routing.Verdict {
	here := Instant{Units: now}
	v := routing.Verdict{Allowed: allowed, ResetAfter: q.duration(q.sub(tat, here))}
	room := q.sub(q.add(here, q.tolerance), tat)
	v.Remaining = q.intervals(room)
	if !allowed {
		v.RetryAfter = max(0, q.duration(q.sub(q.interval, room)))
	}
	return v
}

// duration rounds up to whole units.
func (q *Quota) duration(d Instant) time.Duration { return time.Duration(d.Ceil()) * q.unit }

// intervals is how many whole emission intervals fit into d: floor(d*limit/window), exact in 128 bits.
func (q *Quota) intervals(d Instant) int64 {
	if d.Units < 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(d.Units), uint64(q.limit))
	lo, carry := bits.Add64(lo, uint64(d.Frac), 0)
	hi += carry
	if hi >= uint64(q.window) {
		return q.burst
	}
	n, _ := bits.Div64(hi, lo, uint64(q.window))
	return min(int64(min(n, math.MaxInt64)), q.burst)
}
