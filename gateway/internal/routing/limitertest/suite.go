// Package limitertest says what every routing.Limiter does: Run is the conformance suite.
package limitertest

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/routing"

	"github.com/google/go-cmp/cmp"
)

// World is a limiter without counts and the time it goes by, which stands still but for Sleep.
type World struct {
	Limiter routing.Limiter
	Sleep   func(time.Duration)
	Unit    time.Duration // the tick of the limiter's clock; what it says of time is rounded up to it
}

// Clock is a time that stands still.
type Clock struct{ ns atomic.Int64 }

// NewClock begins at a moment like any other.
func NewClock() *Clock {
	c := &Clock{}
	c.ns.Store(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).UnixNano())
	return c
}

// Now is the time.
func (c *Clock) Now() time.Time { return time.Unix(0, c.ns.Load()) }

// Sleep moves the time on.
func (c *Clock) Sleep(d time.Duration) { c.ns.Add(int64(d)) }

// Run holds the limiters that open makes to what routing.Limiter promises.
func Run(t *testing.T, open func(t testing.TB) World) {
	for name, check := range map[string]func(*testing.T, World){
		"a burst, then evenly":                          burstThenEvenly,
		"keys do not share":                             keysDoNotShare,
		"thirds of a second add up to seconds":          thirds,
		"refused by one charges none":                   refusedByOne,
		"shadow counts but refuses nobody":              shadowCounts,
		"an edited rule keeps counts within its bounds": editedRule,
		"exact when many come at once":                  exactAtOnce,
		"equals the reference bucket":                   equalsReference,
		"equals the reference for extreme rules":        equalsForExtremes,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

// Rule makes a rule of clients; rules with the same numbers are the same rule.
func Rule(limit int64, window time.Duration, burst int64) *routing.LimitRule {
	return &routing.LimitRule{
		Policy: "p", Name: fmt.Sprintf("r%d-%s-%d", limit, window, burst), By: routing.ByClient,
		Limit: limit, Window: window, Burst: burst,
	}
}

// Client is the key of an address.
func Client(addr string) routing.Key {
	return routing.Key{Kind: routing.ByClient, Addr: netip.MustParseAddr(addr)}
}

// Header is the key of a header's value.
func Header(value string) routing.Key { return routing.Key{Kind: routing.ByHeader, Text: value} }

var alice, bob = Client("192.0.2.1"), Client("192.0.2.2")

// TB is what a check needs of a test, or of a property's.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Take charges and returns the verdicts.
func Take(t TB, l routing.Limiter, charges ...routing.Charge) []routing.Verdict {
	t.Helper()
	verdicts := make([]routing.Verdict, len(charges))
	if err := l.Take(context.Background(), charges, verdicts); err != nil {
		t.Fatalf("Take: %v", err)
	}
	return verdicts
}

// One charges one key for one rule.
func One(t TB, l routing.Limiter, r *routing.LimitRule, k routing.Key) routing.Verdict {
	t.Helper()
	return Take(t, l, routing.Charge{Rule: r, Key: k})[0]
}

func burstThenEvenly(t *testing.T, w World) {
	r := Rule(60, time.Minute, 3)
	want := func(v routing.Verdict) {
		t.Helper()
		if diff := cmp.Diff(v, One(t, w.Limiter, r, alice)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	want(routing.Verdict{Allowed: true, Remaining: 2, ResetAfter: time.Second})
	want(routing.Verdict{Allowed: true, Remaining: 1, ResetAfter: 2 * time.Second})
	want(routing.Verdict{Allowed: true, Remaining: 0, ResetAfter: 3 * time.Second})
	want(routing.Verdict{RetryAfter: time.Second, ResetAfter: 3 * time.Second})
	w.Sleep(600 * time.Millisecond)
	want(routing.Verdict{RetryAfter: 400 * time.Millisecond, ResetAfter: 2400 * time.Millisecond})
	w.Sleep(400 * time.Millisecond)
	want(routing.Verdict{Allowed: true, ResetAfter: 3 * time.Second})
	w.Sleep(time.Hour)
	want(routing.Verdict{Allowed: true, Remaining: 2, ResetAfter: time.Second})
}

func keysDoNotShare(t *testing.T, w World) {
	l, r, other := w.Limiter, Rule(1, time.Hour, 1), Rule(1, 2*time.Hour, 1)
	if !One(t, l, r, alice).Allowed || One(t, l, r, alice).Allowed {
		t.Fatal("the first request passes, the second does not")
	}
	if !One(t, l, r, bob).Allowed {
		t.Error("another client was refused for the first one's requests")
	}
	if !One(t, l, other, alice).Allowed {
		t.Error("another rule was charged")
	}
	if k := (routing.Key{Kind: routing.BySubject, Text: "192.0.2.1"}); !One(t, l, r, k).Allowed {
		t.Error("a subject was taken for a client of the same text")
	}
}

// A limit whose interval is no whole number of ticks must neither leak nor starve.
func thirds(t *testing.T, w World) {
	r := Rule(3, time.Second, 3)
	for range 1000 {
		for i := range 3 {
			if !One(t, w.Limiter, r, alice).Allowed {
				t.Fatalf("request %d of 3 refused", i+1)
			}
		}
		if One(t, w.Limiter, r, alice).Allowed {
			t.Fatal("a fourth request passed")
		}
		w.Sleep(time.Second)
	}
}

func refusedByOne(t *testing.T, w World) {
	wide, tight := Rule(10, time.Hour, 10), Rule(1, time.Hour, 1)
	both := []routing.Charge{{Rule: wide, Key: alice}, {Rule: tight, Key: alice}}
	Take(t, w.Limiter, both...)
	for range 20 {
		if v := Take(t, w.Limiter, both...); v[1].Allowed || v[0].Remaining != 9 {
			t.Fatalf("a refused request was charged: %+v", v)
		}
	}
}

func shadowCounts(t *testing.T, w World) {
	trial, enforced := Rule(1, time.Hour, 1), Rule(3, time.Hour, 3)
	trial.Shadow = true
	var passed, wouldRefuse int
	for range 5 {
		charges := []routing.Charge{{Rule: trial, Key: alice}, {Rule: enforced, Key: alice}}
		v := Take(t, w.Limiter, charges...)
		if _, refused := routing.Refused(charges, v); !refused {
			passed++
		}
		if !v[0].Allowed {
			wouldRefuse++
		}
	}
	if passed != 3 || wouldRefuse != 4 {
		t.Errorf("passed %d, shadow would refuse %d; want 3 and 4", passed, wouldRefuse)
	}
}

func editedRule(t *testing.T, w World) {
	day := &routing.LimitRule{Policy: "p", Name: "r", Limit: 1, Window: 24 * time.Hour, Burst: 1}
	second := &routing.LimitRule{Policy: "p", Name: "r", Limit: 2, Window: time.Second, Burst: 2}
	One(t, w.Limiter, day, alice)
	v := One(t, w.Limiter, second, alice)
	if v.Allowed {
		t.Error("editing the rule freed an exhausted key")
	}
	if v.RetryAfter > 500*time.Millisecond {
		t.Errorf("the old rule's day holds on: retry after %s", v.RetryAfter)
	}
}

// Overlapping pairs of keys in every order: no deadlock, and not one request too many.
func exactAtOnce(t *testing.T, w World) {
	a, b := Rule(100, time.Hour, 100), Rule(150, time.Hour, 150)
	var passed atomic.Int64
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for range 100 {
				charges := []routing.Charge{{Rule: a, Key: alice}, {Rule: b, Key: bob}}
				if i%2 == 1 {
					charges[0], charges[1] = charges[1], charges[0]
				}
				verdicts := make([]routing.Verdict, 2)
				if err := w.Limiter.Take(context.Background(), charges, verdicts); err != nil {
					t.Error(err)
					return
				}
				if _, refused := routing.Refused(charges, verdicts); !refused {
					passed.Add(1)
				}
			}
		})
	}
	workers.Wait()
	if passed.Load() != 100 {
		t.Errorf("%d requests passed, want exactly 100", passed.Load())
	}
}
