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
	"cloakroom.dev/gateway/internal/routing/limitertest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var (
	rule, client, header = limitertest.Rule, limitertest.Client, limitertest.Header
	alice, bob           = client("192.0.2.1"), client("192.0.2.2")
)

func take(t testing.TB, l *limitmem.Limiter, charges ...routing.Charge) []routing.Verdict {
	t.Helper()
	return limitertest.Take(t, l, charges...)
}

func one(t testing.TB, l *limitmem.Limiter, r *routing.LimitRule, k routing.Key) routing.Verdict {
	t.Helper()
	return limitertest.One(t, l, r, k)
}

func newLimiter(opts limitmem.Options) *limitmem.Limiter {
	return limitmem.New(opts, prometheus.NewRegistry())
}

func TestLimiter_Conforms(t *testing.T) {
	limitertest.Run(t, func(testing.TB) limitertest.World {
		clock := limitertest.NewClock()
		return limitertest.World{Limiter: newLimiter(limitmem.Options{Now: clock.Now}), Sleep: clock.Sleep, Unit: time.Nanosecond}
	})
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
