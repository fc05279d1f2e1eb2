// Package gate admits work by the memory it needs, so that many callers at once can't exhaust the process.
//
// At most Capacity bytes and Running callers are at work at once, at most Waiting stand in line, first come first served, and
// nobody stands there longer than MaxWait. Everyone else is told to come back. A heavy caller in front is not overtaken by
// light ones, so it can't starve. What the gate does is told to a Meter, under the names its owner gives it.
package gate

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// Meter hears what a gate does. Its methods are called under the gate's lock: they must be quick and not call the gate.
type Meter interface {
	Used(bytes int64)      // memory taken now
	Queued(callers int)    // callers in line now
	Refused(reason string) // queue_full, waited_too_long, caller_left
	// Waited is told how long somebody stood in line who was admitted, in the context of their call.
	Waited(ctx context.Context, waited time.Duration)
}

// Options are the bounds of a gate. All are needed.
type Options struct {
	Capacity int64         // bytes
	Running  int           // callers at work at once
	Waiting  int           // callers in line; 0: none, whoever does not fit is refused
	MaxWait  time.Duration // longest time in line
	Full     error         // what those hear who are refused; a fault.Overloaded
	Meter    Meter
}

// Gate is one bound. It is safe for concurrent use.
type Gate struct {
	opts Options

	mu      sync.Mutex
	used    int64
	running int
	waiters list.List // of *waiter, oldest in front
}

type waiter struct {
	weight   int64
	admitted chan struct{} // closed, under the gate's lock, when the weight has been taken for this waiter
}

// New makes a gate.
func New(opts Options) *Gate { return &Gate{opts: opts} }

// Capacity is how many bytes may be taken at once.
func (g *Gate) Capacity() int64 { return g.opts.Capacity }

// Enter takes weight bytes, waiting in line when they are not free, and returns the function that gives them back. It
// returns Options.Full when the line is full or the wait too long, and ctx's error when ctx ends first. Work that
// weighs more than the whole gate runs alone.
func (g *Gate) Enter(ctx context.Context, weight int64) (leave func(), err error) {
	weight = min(weight, g.opts.Capacity)
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
	g.opts.Meter.Waited(ctx, time.Since(began))
	return func() { g.release(weight) }, nil
}

// line takes the weight at once and returns nil, or joins the line.
func (g *Gate) line(weight int64) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiters.Len() == 0 && g.fits(weight) {
		g.take(weight)
		return nil, nil
	}
	if g.waiters.Len() >= g.opts.Waiting {
		g.opts.Meter.Refused("queue_full")
		return nil, g.opts.Full
	}
	w := &waiter{weight: weight, admitted: make(chan struct{})}
	g.waiters.PushBack(w)
	g.opts.Meter.Queued(g.waiters.Len())
	return w, nil
}

func (g *Gate) wait(ctx context.Context, w *waiter) error {
	timer := time.NewTimer(g.opts.MaxWait)
	defer timer.Stop()
	select {
	case <-w.admitted:
		return nil
	case <-timer.C:
		if g.abandon(w) {
			g.opts.Meter.Refused("waited_too_long")
			return g.opts.Full
		}
	case <-ctx.Done():
		if g.abandon(w) {
			g.opts.Meter.Refused("caller_left")
			return fmt.Errorf("wait at the gate: %w", context.Cause(ctx))
		}
	}
	return nil // admitted in the very moment we gave up: the weight is ours, use it
}

// abandon takes w out of the line and reports true, or reports false when w has been admitted meanwhile.
func (g *Gate) abandon(w *waiter) bool {
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

func (g *Gate) release(weight int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used -= weight
	g.running--
	g.opts.Meter.Used(g.used)
	g.admit()
}

// admit lets in whoever stands in front and fits; a heavy waiter in front is not overtaken, so it can't starve.
func (g *Gate) admit() {
	for e := g.waiters.Front(); e != nil; e = g.waiters.Front() {
		w := e.Value.(*waiter)
		if !g.fits(w.weight) {
			break
		}
		g.waiters.Remove(e)
		g.take(w.weight)
		close(w.admitted)
	}
	g.opts.Meter.Queued(g.waiters.Len())
}

// Refuses reports whether whoever entered now would be refused at once, and returns the error they would hear. It is for
// callers who have work to do before they enter that would be for nothing; it takes no place and promises none.
func (g *Gate) Refuses() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.full() {
		return nil
	}
	g.opts.Meter.Refused("queue_full")
	return g.opts.Full
}

// full reports whether there is no place in line and somebody stands there, or at work; mu is held.
func (g *Gate) full() bool {
	return g.waiters.Len() >= g.opts.Waiting && (g.waiters.Len() > 0 || g.running >= g.opts.Running)
}

// Idle reports whether nobody is at work.
func (g *Gate) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running == 0
}

func (g *Gate) fits(weight int64) bool {
	return g.used+weight <= g.opts.Capacity && g.running < g.opts.Running
}

func (g *Gate) take(weight int64) {
	g.used += weight
	g.running++
	g.opts.Meter.Used(g.used)
}
