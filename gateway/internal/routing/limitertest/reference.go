package limitertest

import (
	"fmt"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/routing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bucket is the reference: a bucket of burst tokens that fills at limit per window, in rational numbers. GCRA is the same
// thing seen from the other side, so the two must never differ by one request or one tick.
type bucket struct {
	rule  *routing.LimitRule
	unit  time.Duration
	level *big.Rat // tokens at
	at    int64    // in units
}

func (b *bucket) rate() *big.Rat { return big.NewRat(b.rule.Limit, int64(b.rule.Window/b.unit)) } // tokens a unit

func (b *bucket) fill(now int64) {
	gained := new(big.Rat).Mul(b.rate(), new(big.Rat).SetInt64(now-b.at))
	b.level.Add(b.level, gained)
	if full := new(big.Rat).SetInt64(b.rule.Burst); b.level.Cmp(full) > 0 {
		b.level = full
	}
	b.at = now
}

func (b *bucket) allows() bool { return b.level.Cmp(big.NewRat(1, 1)) >= 0 }

func (b *bucket) verdict(allowed bool) routing.Verdict {
	v := routing.Verdict{Allowed: allowed}
	v.Remaining = new(big.Int).Quo(b.level.Num(), b.level.Denom()).Int64()
	missing := new(big.Rat).Sub(new(big.Rat).SetInt64(b.rule.Burst), b.level)
	v.ResetAfter = b.wait(missing)
	if !allowed {
		v.RetryAfter = b.wait(new(big.Rat).Sub(big.NewRat(1, 1), b.level))
	}
	return v
}

// wait is how long these tokens take to come, rounded up to units.
func (b *bucket) wait(tokens *big.Rat) time.Duration {
	units := new(big.Rat).Quo(tokens, b.rate())
	whole, rest := new(big.Int).QuoRem(units.Num(), units.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return time.Duration(whole.Int64()) * b.unit
}

// model charges reference buckets the way Limiter promises: all Enforce rules or none, Shadow rules each by itself.
type model struct {
	unit    time.Duration
	now     int64
	buckets map[routing.Charge]*bucket
}

func newModel(unit time.Duration) *model {
	return &model{unit: unit, buckets: map[routing.Charge]*bucket{}}
}

func (m *model) take(charges []routing.Charge) []routing.Verdict {
	pass, allowed := true, make([]bool, len(charges))
	for i, c := range charges {
		b := m.buckets[c]
		if b == nil {
			b = &bucket{c.Rule, m.unit, new(big.Rat).SetInt64(c.Rule.Burst), m.now}
			m.buckets[c] = b
		}
		b.fill(m.now)
		allowed[i] = b.allows()
		pass = pass && (allowed[i] || c.Rule.Shadow)
	}
	verdicts := make([]routing.Verdict, len(charges))
	for i, c := range charges {
		if allowed[i] && (pass || c.Rule.Shadow) {
			m.buckets[c].level.Sub(m.buckets[c].level, big.NewRat(1, 1))
		}
		verdicts[i] = m.buckets[c].verdict(allowed[i])
	}
	return verdicts
}

var histories atomic.Int64

func equalsReference(t *testing.T, w World) {
	rapid.Check(t, func(t *rapid.T) {
		policy := fmt.Sprint("p", histories.Add(1)) // keys that nobody has used yet
		var rules []*routing.LimitRule
		for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
			rules = append(rules, &routing.LimitRule{
				Policy: policy, Name: fmt.Sprint(i),
				Limit:  rapid.Int64Range(1, 40).Draw(t, "limit"),
				Window: time.Duration(rapid.Int64Range(1, 3).Draw(t, "window")) * time.Second,
				Burst:  rapid.Int64Range(1, 20).Draw(t, "burst"),
				Shadow: rapid.Bool().Draw(t, "shadow"),
			})
		}
		reference := newModel(w.Unit)
		for range rapid.IntRange(1, 120).Draw(t, "requests") {
			pause := rapid.Int64Range(0, int64(400*time.Millisecond/w.Unit)).Draw(t, "pause")
			reference.now += pause
			w.Sleep(time.Duration(pause) * w.Unit)
			var charges []routing.Charge
			for _, r := range rules {
				if rapid.Bool().Draw(t, "charged") {
					key := Header(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"))
					charges = append(charges, routing.Charge{Rule: r, Key: key})
				}
			}
			if diff := cmp.Diff(reference.take(charges), Take(t, w.Limiter, charges...)); diff != "" {
				t.Fatalf("at %v (-reference +limiter):\n%s", reference.now, diff)
			}
		}
	})
}

// With large and odd numbers the arithmetic leaves what fits into a word; it must stay right.
func equalsForExtremes(t *testing.T, w World) {
	for _, r := range []*routing.LimitRule{
		Rule(10_000_000, 24*time.Hour, 10_000_000),
		Rule(9_999_991, 24*time.Hour-time.Millisecond, 9_999_973),
		Rule(1, 24*time.Hour, 365),
		Rule(10_000_000, time.Second, 1),
		Rule(7, 1100*time.Millisecond, 10_000_000),
	} {
		t.Run(r.Name, func(t *testing.T) {
			reference := newModel(w.Unit)
			charges := []routing.Charge{{Rule: r, Key: alice}}
			for i := range 2000 {
				pause := int64(i % 7 * 13)
				reference.now += pause
				w.Sleep(time.Duration(pause) * w.Unit)
				if diff := cmp.Diff(reference.take(charges), Take(t, w.Limiter, charges...)); diff != "" {
					t.Fatalf("request %d (-reference +limiter):\n%s", i, diff)
				}
			}
		})
	}
}
