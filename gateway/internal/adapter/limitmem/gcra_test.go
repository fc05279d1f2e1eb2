package limitmem_test

import (
	"context"
	"fmt"
	"math/big"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/limitmem"
	"cloakroom.dev/gateway/internal/routing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

// bucket is the reference: a bucket of burst tokens that fills at limit per window, in rational numbers. GCRA is the same
// thing seen from the other side, so the two must never differ by one request or one nanosecond.
type bucket struct {
	rule  *routing.LimitRule
	level *big.Rat // tokens at
	at    int64    // ns
}

func (b *bucket) rate() *big.Rat { return big.NewRat(b.rule.Limit, int64(b.rule.Window)) } // tokens a ns

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

// wait is how long these tokens take to come, rounded up to nanoseconds.
func (b *bucket) wait(tokens *big.Rat) time.Duration {
	ns := new(big.Rat).Quo(tokens, b.rate())
	whole, rest := new(big.Int).QuoRem(ns.Num(), ns.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return time.Duration(whole.Int64())
}

// model charges reference buckets the way Limiter promises: all Enforce rules or none, Shadow rules each by itself.
type model map[routing.Charge]*bucket

func (m model) take(charges []routing.Charge, now int64) []routing.Verdict {
	pass, allowed := true, make([]bool, len(charges))
	for i, c := range charges {
		b := m[c]
		if b == nil {
			b = &bucket{c.Rule, new(big.Rat).SetInt64(c.Rule.Burst), now}
			m[c] = b
		}
		b.fill(now)
		allowed[i] = b.allows()
		pass = pass && (allowed[i] || c.Rule.Shadow)
	}
	verdicts := make([]routing.Verdict, len(charges))
	for i, c := range charges {
		if allowed[i] && (pass || c.Rule.Shadow) {
			m[c].level.Sub(m[c].level, big.NewRat(1, 1))
		}
		verdicts[i] = m[c].verdict(allowed[i])
	}
	return verdicts
}

func TestTake_EqualsTheReferenceBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		l := limitmem.New(limitmem.Options{Now: func() time.Time { return now }}, prometheus.NewRegistry())
		var rules []*routing.LimitRule
		for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
			rules = append(rules, &routing.LimitRule{
				Policy: "p", Name: fmt.Sprint(i),
				Limit:  rapid.Int64Range(1, 40).Draw(t, "limit"),
				Window: time.Duration(rapid.Int64Range(1, 3).Draw(t, "window")) * time.Second,
				Burst:  rapid.Int64Range(1, 20).Draw(t, "burst"),
				Shadow: rapid.Bool().Draw(t, "shadow"),
			})
		}
		reference := model{}
		for range rapid.IntRange(1, 120).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(400*time.Millisecond)).Draw(t, "pause")))
			var charges []routing.Charge
			for _, r := range rules {
				if rapid.Bool().Draw(t, "charged") {
					key := header(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"))
					charges = append(charges, routing.Charge{Rule: r, Key: key})
				}
			}
			got := make([]routing.Verdict, len(charges))
			if err := l.Take(context.Background(), charges, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(reference.take(charges, now.UnixNano()), got); diff != "" {
				t.Fatalf("at %v (-reference +limiter):\n%s", now.UnixNano(), diff)
			}
		}
	})
}

// With large and odd numbers the arithmetic leaves 64 bits; it must stay right.
func TestTake_EqualsTheReferenceForExtremeRules(t *testing.T) {
	for _, r := range []*routing.LimitRule{
		rule(10_000_000, 24*time.Hour, 10_000_000),
		rule(9_999_991, 24*time.Hour-time.Millisecond, 9_999_973),
		rule(1, 24*time.Hour, 365),
		rule(10_000_000, time.Second, 1),
		rule(7, 1100*time.Millisecond, 10_000_000),
	} {
		t.Run(r.Name, func(t *testing.T) {
			now := time.Unix(0, 0)
			l := limitmem.New(limitmem.Options{Now: func() time.Time { return now }}, prometheus.NewRegistry())
			reference := model{}
			charges := []routing.Charge{{Rule: r, Key: alice}}
			for i := range 2000 {
				now = now.Add(time.Duration(i % 7 * 13))
				if diff := cmp.Diff(reference.take(charges, now.UnixNano()), take(t, l, charges...)); diff != "" {
					t.Fatalf("request %d (-reference +limiter):\n%s", i, diff)
				}
			}
		})
	}
}
