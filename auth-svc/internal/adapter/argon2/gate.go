package argon2

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"cloakroom.dev/libs/fault"
)

// gate admits work by the memory it needs: at most capacity bytes and maxRunning hashes are at work at once, at most
// maxWaiting callers stand in line, first come first served, and nobody stands there longer than maxWait. Everyone
// else is told to come back. Without it a flood of logins would take 19 MiB each until the process dies, and
// the cores until nothing else answers.
type gate struct {
	capacity   int64
	maxRunning int
	maxWaiting int
	maxWait    time.Duration
	metrics    *metrics

	mu      sync.Mutex
	used    int64
	running int
	waiters list.List // of *waiter, oldest in front
}

type waiter struct {
	weight   int64
	admitted chan struct{} // closed, under the gate's lock, when the weight has been taken for this waiter
}

// enter takes weight bytes, waiting in line when they are not free, and returns the function that gives them back. It
// returns fault.Overloaded when the line is full or the wait too long, and ctx's error when ctx ends first. Work that
// weighs more than the whole gate runs alone.
func (g *gate) enter(ctx context.Context, weight int64) (leave func(), err error) {
	weight = min(weight, g.capacity)
	began := time.Now()
	w, err := g.line(weight)
	if err != nil {
		return nil, err
	}
	if w != nil {
		if err := g.wait(ctx, w); err != nil {
			return nil, err
		}
	}
	g.metrics.wait.Observe(time.Since(began).Seconds())
	return func() { g.release(weight) }, nil
}

// line takes the weight at once and returns nil, or joins the line.
func (g *gate) line(weight int64) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiters.Len() == 0 && g.fits(weight) {
		g.take(weight)
		return nil, nil
	}
	if g.waiters.Len() >= g.maxWaiting {
		g.metrics.refused.WithLabelValues("queue_full").Inc()
		return nil, overloaded()
	}
	w := &waiter{weight: weight, admitted: make(chan struct{})}
	g.waiters.PushBack(w)
	g.metrics.queued.Set(float64(g.waiters.Len()))
	return w, nil
}

func (g *gate) wait(ctx context.Context, w *waiter) error {
	timer := time.NewTimer(g.maxWait)
	defer timer.Stop()
	select {
	case <-w.admitted:
		return nil
	case <-timer.C:
		if g.abandon(w) {
			g.metrics.refused.WithLabelValues("waited_too_long").Inc()
			return overloaded()
		}
	case <-ctx.Done():
		if g.abandon(w) {
			g.metrics.refused.WithLabelValues("caller_left").Inc()
			return fmt.Errorf("wait for the hash gate: %w", context.Cause(ctx))
		}
	}
	return nil // admitted in the very moment we gave up: the weight is ours, use it
}

// abandon takes w out of the line and reports true, or reports false when w has been admitted meanwhile.
func (g *gate) abandon(w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for e := g.waiters.Front(); e != nil; e = e.Next() {
		if e.Value.(*waiter) == w {
			g.waiters.Remove(e)
			g.admit() // the one behind may fit where w did not
			return true
		}
	}
	return false
}

func (g *gate) release(weight int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used -= weight
	g.running--
	g.metrics.running.Set(float64(g.used))
	g.admit()
}

// admit lets in whoever stands in front and fits; a heavy waiter in front is not overtaken, so it can't starve.
func (g *gate) admit() {
	for e := g.waiters.Front(); e != nil; e = g.waiters.Front() {
		w := e.Value.(*waiter)
		if !g.fits(w.weight) {
			break
		}
		g.waiters.Remove(e)
		g.take(w.weight)
		close(w.admitted)
	}
	g.metrics.queued.Set(float64(g.waiters.Len()))
}

func (g *gate) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running == 0
}

func (g *gate) fits(weight int64) bool {
	return g.used+weight <= g.capacity && g.running < g.maxRunning
}

func (g *gate) take(weight int64) {
	g.used += weight
	g.running++
	g.metrics.running.Set(float64(g.used))
}

// overloadedRetryAfter is short because the line is: at 22 ms a hash a full default line is gone in about a second.
const overloadedRetryAfter = time.Second

func overloaded() error {
	return fault.Retry(fault.Overloaded, "too many sign-ins at this moment, try again shortly", overloadedRetryAfter)
}
