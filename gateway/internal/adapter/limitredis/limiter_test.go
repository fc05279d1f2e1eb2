package limitredis

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/gateway/internal/adapter/limitmem"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/gateway/internal/routing/limitertest"
	"cloakroom.dev/libs/logtest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fakeStore answers, after a while, or does not.
type fakeStore struct {
	mu       sync.Mutex
	takes    int
	err      error
	delay    time.Duration
	gateways int
}

func (f *fakeStore) answer(ctx context.Context) error {
	f.mu.Lock()
	err, delay := f.err, f.delay
	f.mu.Unlock()
	select {
	case <-time.After(delay):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeStore) take(ctx context.Context, charges []routing.Charge, verdicts []routing.Verdict) error {
	f.mu.Lock()
	f.takes++
	f.mu.Unlock()
	for i := range charges {
		verdicts[i] = routing.Verdict{Allowed: true, Remaining: 99}
	}
	return f.answer(ctx)
}

func (f *fakeStore) beat(ctx context.Context) (int, error) {
	err := f.answer(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gateways, err
}
func (f *fakeStore) leave(context.Context) error { return nil }
func (f *fakeStore) connections() int            { return 0 }
func (f *fakeStore) close() error                { return nil }

func (f *fakeStore) set(err error, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.delay, f.takes = err, delay, 0
}

func (f *fakeStore) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takes
}

var errDown = errors.New("connection refused")

// scene is a limiter over a fake store, whose Run runs.
type scene struct {
	*Limiter
	store *fakeStore
	reg   *prometheus.Registry
	logs  *logtest.Text
	end   func()
}

func stage(store *fakeStore, opts Options) *scene {
	s := &scene{store: store, reg: prometheus.NewRegistry(), logs: &logtest.Text{}}
	log := slog.New(slog.NewTextHandler(s.logs, nil))
	s.Limiter = assemble(store, limitmem.New(limitmem.Options{}, s.reg), opts.withDefaults(), log, s.reg)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	s.end = func() { cancel(); running.Wait() }
	return s
}

var (
	hundred = limitertest.Rule(100, time.Hour, 100)
	alice   = limitertest.Client("192.0.2.1")
)

// passes is how many of n requests are let through, each of which may take no longer than the timeout.
func (s *scene) passes(t *testing.T, n int) (passed int) {
	t.Helper()
	for range n {
		began := time.Now()
		if limitertest.One(t, s.Limiter, hundred, alice).Allowed {
			passed++
		}
		if took := time.Since(began); took > s.timeout {
			t.Fatalf("a request waited %v", took)
		}
	}
	return passed
}

func TestTake_ALostStoreLeavesEachGatewayItsShare(t *testing.T) {
	for name, broken := range map[string]func(*fakeStore){
		"down":   func(f *fakeStore) { f.set(errDown, 0) },
		"silent": func(f *fakeStore) { f.set(nil, time.Hour) },
		"slow":   func(f *fakeStore) { f.set(nil, 11*time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := stage(&fakeStore{gateways: 4}, Options{})
				defer s.end()
				synctest.Wait()
				if got := s.passes(t, 200); got != 200 {
					t.Fatalf("the store let %d of 200 pass", got)
				}
				broken(s.store)
				if got := s.passes(t, 200); got != 25 {
					t.Errorf("%d passed, want a quarter of 100", got)
				}
				if s.store.asked() != 3 {
					t.Errorf("%d requests asked a store that does not answer, want 3", s.store.asked())
				}
				if n := strings.Count(s.logs.String(), "rate limit store lost"); n != 1 {
					t.Errorf("%d lines tell of the loss:\n%s", n, s.logs)
				}
				if up := value(t, s.reg, "cloakroom_gateway_limiter_store_up"); up != 0 {
					t.Errorf("store_up is %v", up)
				}
				if n := value(t, s.reg, "cloakroom_gateway_limiter_share_decisions_total"); n != 200 {
					t.Errorf("%v decisions by share, want 200", n)
				}
				time.Sleep(20 * time.Second)
				s.store.set(nil, 0)
				time.Sleep(time.Second)
				if got := s.passes(t, 50); got != 50 || s.store.asked() != 50 {
					t.Errorf("it is back: %d of 50 passed, %d asked", got, s.store.asked())
				}
				if n := strings.Count(s.logs.String(), "rate limit store back"); n != 1 {
					t.Errorf("%d lines tell of the return:\n%s", n, s.logs)
				}
			})
		})
	}
}

func TestRun_AStoreThatIsDownAtTheStartIsFoundLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stage(&fakeStore{gateways: 3, err: errDown}, Options{})
		defer s.end()
		time.Sleep(time.Second) // without a request
		if s.health.lost() != true {
			t.Error("nobody noticed that the store is down")
		}
		if got := s.passes(t, 200); got != 50 {
			t.Errorf("%d passed, want half of 100: nobody knows how many gateways there are", got)
		}
		s.store.set(nil, 0)
		time.Sleep(time.Second)
		if got := s.passes(t, 10); s.store.asked() != 10 || got != 10 {
			t.Errorf("%d of 10 asked the store that is up", s.store.asked())
		}
	})
}

// One answer in three late is a store that can't be relied on; one in ten is not a loss.
func TestHealth_SomeLateAnswersAreNoLoss(t *testing.T) {
	for every, lost := range map[int]bool{3: true, 10: false} {
		h := newHealth(slog.New(slog.DiscardHandler), newMetrics(prometheus.NewRegistry(), func() int { return 0 }), func() int { return 1 })
		for i := range 200 {
			if i%every == 0 {
				h.note(errDown)
			} else if !h.lost() {
				h.note(nil)
			}
		}
		if h.lost() != lost {
			t.Errorf("one in %d late: lost %v", every, h.lost())
		}
	}
}

// A store that comes and goes is not taken back each time: that would be a line and a fresh count each time.
func TestHealth_AStoreThatComesAndGoesHasToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stage(&fakeStore{gateways: 2}, Options{})
		defer s.end()
		for range 60 { // a minute
			s.store.set(errDown, 0)
			s.passes(t, 3)
			time.Sleep(200 * time.Millisecond)
			s.store.set(nil, 0)
			time.Sleep(800 * time.Millisecond)
		}
		if n := strings.Count(s.logs.String(), "rate limit store lost"); n < 2 || n > 25 {
			t.Errorf("%d losses told of in a minute of flapping", n)
		}
	})
}

// Clients that go away in the middle of the call must not look like a store that is lost.
func TestTake_ClientsWhoGoAwayLoseNoStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stage(&fakeStore{gateways: 1, delay: 5 * time.Millisecond}, Options{})
		defer s.end()
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		for range 20 {
			if err := s.Take(gone, []routing.Charge{{Rule: hundred, Key: alice}}, make([]routing.Verdict, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if s.health.lost() {
			t.Error("twenty cancelled requests lost the store")
		}
	})
}

func TestShares_OfAllGatewaysAreNotMoreThanTheLimit(t *testing.T) {
	for _, gateways := range []int{1, 2, 3, 7, 100} {
		r := limitertest.Rule(10, time.Minute, 20)
		part := shares([]routing.Charge{{Rule: r, Key: alice}}, gateways)[0].Rule
		if part.Limit*int64(r.Window)*int64(gateways) != r.Limit*int64(part.Window) {
			t.Errorf("%d gateways: %d in %v is not their part of %d in %v", gateways, part.Limit, part.Window, r.Limit, r.Window)
		}
		if part.Burst*int64(gateways) > max(r.Burst, int64(gateways)) || part.Burst < 1 {
			t.Errorf("%d gateways: a burst of %d each of %d", gateways, part.Burst, r.Burst)
		}
		if r.Window != time.Minute {
			t.Error("the rule itself was changed")
		}
	}
}

func TestMembers_BelieveAnEmptyStoreOnlyLater(t *testing.T) {
	var m members
	if m.count() != unheardReplicas {
		t.Errorf("nobody told: %d", m.count())
	}
	m.heard(1, 0)
	m.heard(5, 0)
	m.heard(1, time.Second) // it has come back empty
	if m.count() != 5 {
		t.Errorf("%d gateways after the store came back empty", m.count())
	}
	m.heard(2, memberLife+time.Second)
	if m.count() != 2 {
		t.Errorf("%d gateways after some have left", m.count())
	}
	fixed := members{fixed: 3}
	fixed.heard(9, 0)
	if fixed.count() != 3 {
		t.Errorf("the operator said 3, it is %d", fixed.count())
	}
}

func value(t *testing.T, reg prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestMetrics_LintClean(t *testing.T) {
	reg := prometheus.NewRegistry()
	newMetrics(reg, func() int { return 1 })
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// asks is for the tests on a real store: many requests at once, for a while.
type asks struct {
	passed, asked atomic.Int64
	longest       atomic.Int64
}

func (a *asks) note(took time.Duration, allowed bool) {
	a.asked.Add(1)
	if allowed {
		a.passed.Add(1)
	}
	for {
		longest := a.longest.Load()
		if int64(took) <= longest || a.longest.CompareAndSwap(longest, int64(took)) {
			return
		}
	}
}
