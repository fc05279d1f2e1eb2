package limitmem_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/gateway/internal/adapter/limitmem"
	"cloakroom.dev/gateway/internal/routing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func rule(limit int64, window time.Duration, burst int64) *routing.LimitRule {
	return &routing.LimitRule{Policy: "p", Name: fmt.Sprintf("r%d-%s-%d", limit, window, burst), By: routing.ByClient, Limit: limit, Window: window, Burst: burst}
}

func shadow(r *routing.LimitRule) *routing.LimitRule {
	r.Shadow = true
	r.Name += "-shadow"
	return r
}

func client(addr string) routing.Key {
	return routing.Key{Kind: routing.ByClient, Addr: netip.MustParseAddr(addr)}
}

func header(value string) routing.Key { return routing.Key{Kind: routing.ByHeader, Text: value} }

var alice, bob = client("192.0.2.1"), client("192.0.2.2")

func take(t testing.TB, l *limitmem.Limiter, charges ...routing.Charge) []routing.Verdict {
	t.Helper()
	verdicts := make([]routing.Verdict, len(charges))
	if err := l.Take(context.Background(), charges, verdicts); err != nil {
		t.Fatalf("Take: %v", err)
	}
	return verdicts
}

func one(t testing.TB, l *limitmem.Limiter, r *routing.LimitRule, k routing.Key) routing.Verdict {
	t.Helper()
	return take(t, l, routing.Charge{Rule: r, Key: k})[0]
}

func newLimiter(opts limitmem.Options) *limitmem.Limiter {
	return limitmem.New(opts, prometheus.NewRegistry())
}

func TestTake_BurstThenEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := newLimiter(limitmem.Options{}), rule(60, time.Minute, 3)
		want := func(v routing.Verdict) {
			t.Helper()
			if diff := cmp.Diff(v, one(t, l, r, alice)); diff != "" {
				t.Errorf("after %s (-want +got):\n%s", time.Now().Format("05.000"), diff)
			}
		}
		want(routing.Verdict{Allowed: true, Remaining: 2, ResetAfter: time.Second})
		want(routing.Verdict{Allowed: true, Remaining: 1, ResetAfter: 2 * time.Second})
		want(routing.Verdict{Allowed: true, Remaining: 0, ResetAfter: 3 * time.Second})
		want(routing.Verdict{RetryAfter: time.Second, ResetAfter: 3 * time.Second})
		time.Sleep(600 * time.Millisecond)
		want(routing.Verdict{RetryAfter: 400 * time.Millisecond, ResetAfter: 2400 * time.Millisecond})
		time.Sleep(400 * time.Millisecond)
		want(routing.Verdict{Allowed: true, ResetAfter: 3 * time.Second})
		time.Sleep(time.Hour)
		want(routing.Verdict{Allowed: true, Remaining: 2, ResetAfter: time.Second})
	})
}

func TestTake_KeysDoNotShare(t *testing.T) {
	l, r, other := newLimiter(limitmem.Options{}), rule(1, time.Hour, 1), rule(1, 2*time.Hour, 1)
	if !one(t, l, r, alice).Allowed || one(t, l, r, alice).Allowed {
		t.Fatal("the first request passes, the second does not")
	}
	if !one(t, l, r, bob).Allowed {
		t.Error("another client was refused for the first one's requests")
	}
	if !one(t, l, other, alice).Allowed {
		t.Error("another rule was charged")
	}
	if k := (routing.Key{Kind: routing.BySubject, Text: "192.0.2.1"}); !one(t, l, r, k).Allowed {
		t.Error("a subject was taken for a client of the same text")
	}
}

// A limit whose interval is no whole number of nanoseconds must neither leak nor starve.
func TestTake_ThirdsOfASecondAddUpToSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := newLimiter(limitmem.Options{}), rule(3, time.Second, 3)
		for range 1000 {
			for i := range 3 {
				if !one(t, l, r, alice).Allowed {
					t.Fatalf("request %d of 3 refused", i+1)
				}
			}
			if one(t, l, r, alice).Allowed {
				t.Fatal("a fourth request passed")
			}
			time.Sleep(time.Second)
		}
	})
}

func TestTake_RefusedByOneChargesNone(t *testing.T) {
	l := newLimiter(limitmem.Options{})
	wide, tight := rule(10, time.Hour, 10), rule(1, time.Hour, 1)
	both := []routing.Charge{{Rule: wide, Key: alice}, {Rule: tight, Key: alice}}
	take(t, l, both...)
	for range 20 {
		if v := take(t, l, both...); v[1].Allowed || v[0].Remaining != 9 {
			t.Fatalf("a refused request was charged: %+v", v)
		}
	}
}

func TestTake_ShadowCountsButRefusesNobody(t *testing.T) {
	l := newLimiter(limitmem.Options{})
	trial, real := shadow(rule(1, time.Hour, 1)), rule(3, time.Hour, 3)
	var passed, wouldRefuse int
	for range 5 {
		charges := []routing.Charge{{Rule: trial, Key: alice}, {Rule: real, Key: alice}}
		v := take(t, l, charges...)
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

func TestTake_EditedRuleKeepsCountsWithinItsOwnBounds(t *testing.T) {
	l := newLimiter(limitmem.Options{})
	day := &routing.LimitRule{Policy: "p", Name: "r", Limit: 1, Window: 24 * time.Hour, Burst: 1}
	second := &routing.LimitRule{Policy: "p", Name: "r", Limit: 2, Window: time.Second, Burst: 2}
	one(t, l, day, alice)
	v := one(t, l, second, alice)
	if v.Allowed {
		t.Error("editing the rule freed an exhausted key")
	}
	if v.RetryAfter > 500*time.Millisecond {
		t.Errorf("the old rule's day holds on: retry after %s", v.RetryAfter)
	}
}

// The promise of the package: other people's keys never free an exhausted one, however many there are.
func TestFlood_NeverFreesAnExhaustedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := newLimiter(limitmem.Options{MaxKeys: 64}), rule(5, time.Hour, 5)
		for one(t, l, r, alice).Allowed {
		}
		for i := range 20_000 {
			one(t, l, r, header(fmt.Sprint("flood", i)))
			if i%500 == 0 && one(t, l, r, alice).Allowed {
				t.Fatalf("freed after %d other keys", i)
			}
		}
		time.Sleep(12*time.Minute + time.Second)
		if !one(t, l, r, alice).Allowed {
			t.Error("still refused when its time has come")
		}
	})
}

// A key that is nearly exhausted is the likelier victim; it must come back owing what it owed.
func TestFlood_AnEvictedKeyKeepsItsDebt(t *testing.T) {
	l, r := newLimiter(limitmem.Options{MaxKeys: 32}), rule(10, time.Hour, 10)
	for range 4 {
		one(t, l, r, alice)
	}
	flood := rule(10, time.Hour, 10)
	for i := range 5_000 {
		for range 6 {
			one(t, l, flood, header(fmt.Sprint(i)))
		}
	}
	if v := one(t, l, r, alice); v.Remaining > 5 {
		t.Errorf("%d requests left after 5 of 10: eviction gave some back", v.Remaining)
	}
}

func TestFlood_IsBoundedAndLeavesOtherRulesAlone(t *testing.T) {
	reg := prometheus.NewRegistry()
	l := limitmem.New(limitmem.Options{MaxKeys: 320}, reg)
	login, flooded := rule(5, time.Hour, 5), rule(100, time.Hour, 100)
	before := one(t, l, login, alice)
	for i := range 10_000 {
		one(t, l, flooded, header(fmt.Sprint(i)))
	}
	if n := gauge(t, reg, "cloakroom_gateway_limiter_keys"); n > 321 {
		t.Errorf("%v keys remembered, want at most 320 and the one of the other rule", n)
	}
	if n := gauge(t, reg, "cloakroom_gateway_limiter_evictions_total"); n < 9_000 {
		t.Errorf("%v evictions counted", n)
	}
	if after := one(t, l, login, bob); after.Remaining != before.Remaining {
		t.Errorf("a newcomer of the other rule has %d left, want %d", after.Remaining, before.Remaining)
	}
}

func TestRun_SweepsKeysWithoutDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		l := limitmem.New(limitmem.Options{MaxKeys: 1 << 10}, reg)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Run(ctx) })
		r := rule(10, time.Second, 10)
		for i := range 2_000 {
			one(t, l, r, header(fmt.Sprint(i)))
		}
		time.Sleep(2 * time.Minute)
		if n := gauge(t, reg, "cloakroom_gateway_limiter_keys"); n != 0 {
			t.Errorf("%v keys left, want none", n)
		}
		if v := one(t, l, r, header("1")); v.Remaining != 9 {
			t.Errorf("%d left for a key without debt, want 9", v.Remaining)
		}
		cancel()
		wg.Wait()
	})
}

// Many goroutines, overlapping pairs of keys in every order, sweeps in between: no deadlock, and not one request too many.
func TestTake_ExactUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(limitmem.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var run, workers sync.WaitGroup
		run.Go(func() { _ = l.Run(ctx) })
		a, b := rule(100, time.Hour, 100), rule(150, time.Hour, 150)
		var passed atomic.Int64
		for w := range 8 {
			workers.Go(func() {
				for range 100 {
					charges := []routing.Charge{{Rule: a, Key: alice}, {Rule: b, Key: bob}}
					if w%2 == 1 {
						charges[0], charges[1] = charges[1], charges[0]
					}
					if _, refused := routing.Refused(charges, take(t, l, charges...)); !refused {
						passed.Add(1)
					}
				}
			})
		}
		workers.Wait()
		cancel()
		run.Wait()
		if passed.Load() != 100 {
			t.Errorf("%d requests passed, want exactly 100", passed.Load())
		}
	})
}

// Rules come to rest, are forgotten and come back at the very moments they are used: nobody charges a forgotten state.
func TestRun_ForgettingRulesRacesWithUsingThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(limitmem.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var run, workers sync.WaitGroup
		run.Go(func() { _ = l.Run(ctx) })
		r := rule(4, time.Second, 4)
		var passed atomic.Int64
		for range 8 {
			workers.Go(func() {
				for range 50 {
					time.Sleep(30 * time.Second) // exactly when the sweep runs
					if one(t, l, r, alice).Allowed {
						passed.Add(1)
					}
				}
			})
		}
		workers.Wait()
		cancel()
		run.Wait()
		if passed.Load() != 50*4 {
			t.Errorf("%d requests passed, want 4 in each of 50 bursts of 8", passed.Load())
		}
	})
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestMetrics_LintClean(t *testing.T) {
	reg := prometheus.NewRegistry()
	l := limitmem.New(limitmem.Options{}, reg)
	one(t, l, rule(1, time.Second, 1), alice)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func BenchmarkTake(b *testing.B) {
	l, r := newLimiter(limitmem.Options{}), rule(1_000_000_000, time.Second, 1_000_000_000)
	keys := make([]routing.Key, 1024)
	for i := range keys {
		keys[i] = client(fmt.Sprintf("10.0.%d.%d", i/256, i%256))
	}
	second := rule(1_000_000, time.Second, 1_000_000)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			charges, verdicts := make([]routing.Charge, 1), make([]routing.Verdict, 1)
			for i := 0; pb.Next(); i++ {
				charges[0] = routing.Charge{Rule: r, Key: keys[i%len(keys)]}
				_ = l.Take(context.Background(), charges, verdicts)
			}
		})
	})
	b.Run("two", func(b *testing.B) {
		b.ReportAllocs()
		charges, verdicts := make([]routing.Charge, 2), make([]routing.Verdict, 2)
		for i := 0; b.Loop(); i++ {
			charges[0] = routing.Charge{Rule: r, Key: keys[i%len(keys)]}
			charges[1] = routing.Charge{Rule: second, Key: keys[i%len(keys)]}
			_ = l.Take(context.Background(), charges, verdicts)
		}
	})
	b.Run("flood", func(b *testing.B) {
		b.ReportAllocs()
		charges, verdicts := make([]routing.Charge, 1), make([]routing.Verdict, 1)
		flooded := rule(5, time.Hour, 5)
		for i := 0; b.Loop(); i++ {
			addr := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
			charges[0] = routing.Charge{Rule: flooded, Key: routing.Key{Kind: routing.ByClient, Addr: addr}}
			_ = l.Take(context.Background(), charges, verdicts)
		}
	})
}
