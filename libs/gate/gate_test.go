package gate

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"
)

func newGate(capacity int64, waiting int, maxWait time.Duration) *Gate {
	return New(Options{
		Capacity: capacity, Running: math.MaxInt, Waiting: waiting, MaxWait: maxWait,
		Full: fault.New(fault.Overloaded, "full"), Meter: deaf{},
	})
}

type deaf struct{}

func (deaf) Used(int64)                            {}
func (deaf) Queued(int)                            {}
func (deaf) Refused(string)                        {}
func (deaf) Waited(context.Context, time.Duration) {}

func TestGate_NeverExceedsItsCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10, 1000, time.Hour)
		var used, peak atomic.Int64
		var wg sync.WaitGroup
		for range 200 {
			weight := 1 + rand.Int64N(15) // some weigh more than the gate and run alone
			wg.Go(func() {
				leave, err := g.Enter(t.Context(), weight)
				if err != nil {
					t.Error(err)
					return
				}
				now := used.Add(min(weight, 10))
				for p := peak.Load(); now > p && !peak.CompareAndSwap(p, now); p = peak.Load() {
				}
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
				used.Add(-min(weight, 10))
				leave()
			})
		}
		wg.Wait()
		if peak.Load() > 10 || g.used != 0 || g.waiters.Len() != 0 {
			t.Errorf("peak %d of 10, left over: %d used, %d waiting", peak.Load(), g.used, g.waiters.Len())
		}
	})
}

func TestGate_FirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 10, time.Hour)
		leave, _ := g.Enter(t.Context(), 1)
		var order []string
		var mu sync.Mutex
		join := func(name string, weight int64) {
			go func() {
				leave, _ := g.Enter(t.Context(), weight)
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				leave()
			}()
			synctest.Wait()
		}
		join("heavy", 2)
		join("light", 1) // would fit now, but must not starve the heavy one
		if len(order) != 0 {
			t.Fatalf("overtaken: %v", order)
		}
		leave()
		synctest.Wait()
		if len(order) != 2 || order[0] != "heavy" {
			t.Errorf("order %v", order)
		}
	})
}

func TestGate_GivesUpAfterMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 10, 3*time.Second)
		leave, _ := g.Enter(t.Context(), 1)
		began := time.Now()
		_, err := g.Enter(t.Context(), 1)
		if fault.KindOf(err) != fault.Overloaded || time.Since(began) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		leave()
		if g.used != 0 {
			t.Errorf("%d bytes leaked", g.used)
		}
	})
}

func TestGate_LeavingTheLineLetsTheNextPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 10, time.Hour)
		leave, _ := g.Enter(t.Context(), 1)
		defer leave()
		ctx, cancel := context.WithCancel(t.Context())
		heavy := make(chan error, 1)
		go func() { _, err := g.Enter(ctx, 2); heavy <- err }()
		synctest.Wait()
		light := make(chan error, 1)
		go func() { _, err := g.Enter(t.Context(), 1); light <- err }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err := <-heavy; !errors.Is(err, context.Canceled) {
			t.Errorf("heavy: %v", err)
		}
		if err := <-light; err != nil {
			t.Errorf("light: %v", err)
		}
	})
}

func TestGate_LimitsHowManyRunWhateverTheyWeigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1000, 10, time.Hour)
		g.opts.Running = 1
		leave, _ := g.Enter(t.Context(), 1)
		second := make(chan error, 1)
		go func() { _, err := g.Enter(t.Context(), 1); second <- err }()
		synctest.Wait()
		select {
		case <-second:
			t.Error("two run at once")
		default:
		}
		leave()
		if err := <-second; err != nil {
			t.Error(err)
		}
	})
}

// TestGate_RefusesSaysWhatEnterWouldDo: it is full only when Enter would not even let its caller wait.
func TestGate_RefusesSaysWhatEnterWouldDo(t *testing.T) {
	for waiting := range 3 {
		synctest.Test(t, func(t *testing.T) {
			opts := newGate(10, waiting, time.Hour).opts
			opts.Running = 1
			g := New(opts)
			leave, err := g.Enter(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			for n := range waiting {
				if err := g.Refuses(); err != nil {
					t.Errorf("with %d of %d places in line taken: %v", n, waiting, err)
				}
				go func() {
					if later, err := g.Enter(ctx, 1); err == nil {
						later()
					}
				}()
				synctest.Wait()
			}
			if err := g.Refuses(); !errors.Is(err, fault.Of(fault.Overloaded)) {
				t.Errorf("with the line of %d full: %v", waiting, err)
			}
			if _, err := g.Enter(t.Context(), 1); !errors.Is(err, fault.Of(fault.Overloaded)) {
				t.Errorf("Enter then returns %v", err)
			}
			cancel()
			leave()
			synctest.Wait()
			if err := g.Refuses(); err != nil {
				t.Errorf("when everybody has left: %v", err)
			}
		})
	}
}
