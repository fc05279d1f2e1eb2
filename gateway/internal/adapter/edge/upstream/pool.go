package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// sweepEvery is how often idle connections are looked through at least: closed ones should not lie about.
const sweepEvery = 5 * time.Second

// Stats is how a pool is used.
type Stats struct {
	Open    int    // connections: in use, idle and being dialled
	Idle    int    // of them, those that wait for a request
	Waiting int    // requests that wait for a connection
	Waited  uint64 // requests that ever had to wait
	GaveUp  uint64 // of them, those that did not get one
}

// pool keeps the connections of one address. The one used last is used next, so that after a burst the others grow old
// and are closed.
type pool struct {
	bounds Pool
	dial   func(context.Context) (*conn, error)

	mu      sync.Mutex
	idle    []*conn // the one used last is last
	open    int
	waiting []*turn // in the order they came
	waited  uint64
	gaveUp  uint64
	closed  bool
	sweeper *time.Timer // runs while something is idle
}

// turn is a request that waits. It gets a connection, or nil: leave to open one.
type turn struct{ given chan *conn }

// take returns a connection for one exchange: an idle one that has nothing to say, or a new one. Only a new one when
// fresh is set.
func (p *pool) take(ctx context.Context, fresh bool) (*conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for !fresh {
		c := p.pop()
		if c == nil {
			break
		}
		if c.serves() {
			return c, nil
		}
	}
	if p.bounds.DialTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.bounds.DialTimeout, errNoConnection)
		defer cancel()
	}
	for {
		c, err := p.reserve(ctx)
		switch {
		case err != nil:
			return nil, err
		case c == nil:
			return p.connect(ctx)
		case fresh:
			c.close() // its place is free, for this request or for one that has waited longer
		case c.serves():
			return c, nil
		}
	}
}

// connect opens a connection, with leave to do so.
func (p *pool) connect(ctx context.Context) (*conn, error) {
	c, err := p.dial(ctx)
	if err == nil {
		return c, nil
	}
	p.leave()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errNoTurn) {
		return nil, cause
	}
	return nil, fmt.Errorf("connect: %w", err)
}

// errNoConnection ends a wait for a connection. It is an error of dialling, whatever took the time.
var errNoConnection error = &net.OpError{Op: "dial", Net: "tcp", Err: errNoTurn}

// pop takes the connection that was used last.
func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// reserve gets leave to open a connection (nil, nil), waiting for it if it must, or one that another request has done with.
func (p *pool) reserve(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	if p.bounds.MaxConns == 0 || p.open < p.bounds.MaxConns {
		p.open++
		p.mu.Unlock()
		return nil, nil
	}
	if len(p.idle) > 0 { // it came back a moment ago, or is there although a new one is wanted
		c := p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
		p.mu.Unlock()
		return c, nil
	}
	t := &turn{make(chan *conn, 1)}
	p.waiting = append(p.waiting, t)
	p.waited++
	p.mu.Unlock()
	select {
	case c := <-t.given:
		return c, nil
	case <-ctx.Done():
	}
	if p.giveUp(t) {
		return nil, context.Cause(ctx)
	}
	if c := <-t.given; c != nil { // it came in the same moment: somebody else's turn
		p.put(c)
	} else {
		p.leave()
	}
	return nil, context.Cause(ctx)
}

// giveUp leaves the queue. It reports false when the turn has come.
func (p *pool) giveUp(t *turn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gaveUp++
	for i, other := range p.waiting {
		if other == t {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// next is the request that has waited longest. The caller holds mu.
func (p *pool) next() *turn {
	if len(p.waiting) == 0 {
		return nil
	}
	t := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	return t
}

// put takes back a connection that is good for another request.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	if t := p.next(); t != nil {
		p.mu.Unlock()
		t.given <- c
		return
	}
	if p.closed || len(p.idle) >= p.bounds.MaxIdleConns {
		p.mu.Unlock()
		c.close()
		return
	}
	c.idleSince = time.Now()
	p.idle = append(p.idle, c)
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(p.sweepDelay(), p.sweep)
	}
	p.mu.Unlock()
}

// leave gives up the place of a connection that is closed, or that could not be opened.
func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.next(); t != nil {
		t.given <- nil // has room for one, and gets only one
		return
	}
	p.open--
}

func (p *pool) sweepDelay() time.Duration {
	if d := p.bounds.IdleTimeout; d > 0 && d < sweepEvery {
		return d
	}
	return sweepEvery
}

// sweep closes connections that have been idle too long, and those that their service has closed meanwhile. Asking them
// takes time, so they are out of the pool while they are asked.
func (p *pool) sweep() {
	now := time.Now()
	p.mu.Lock()
	young := 0
	for young < len(p.idle) && now.Sub(p.idle[young].idleSince) >= p.sweepDelay() {
		young++
	}
	asked := slices.Clone(p.idle[:young])
	p.idle = slices.Delete(p.idle, 0, young)
	p.mu.Unlock()

	var kept []*conn
	for _, c := range asked {
		if old := p.bounds.IdleTimeout > 0 && now.Sub(c.idleSince) >= p.bounds.IdleTimeout; old || !c.quiet() {
			c.close()
			continue
		}
		kept = append(kept, c)
	}
	p.keep(kept)
}

// keep puts back what sweep has asked, below what is younger.
func (p *pool) keep(asked []*conn) {
	p.mu.Lock()
	p.sweeper = nil
	if p.closed {
		p.mu.Unlock()
		closeAll(asked)
		return
	}
	for len(asked) > 0 && len(p.waiting) > 0 {
		p.next().given <- asked[0] // has room for one, and gets only one
		asked = asked[1:]
	}
	surplus := max(0, len(asked)+len(p.idle)-p.bounds.MaxIdleConns) // as many others came back meanwhile
	surplus = min(surplus, len(asked))
	p.idle = append(asked[surplus:], p.idle...)
	if len(p.idle) > 0 {
		p.sweeper = time.AfterFunc(p.sweepDelay(), p.sweep)
	}
	p.mu.Unlock()
	closeAll(asked[:surplus])
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	gone := p.idle
	p.idle = nil
	if p.sweeper != nil {
		p.sweeper.Stop()
		p.sweeper = nil
	}
	p.mu.Unlock()
	closeAll(gone)
}

func (p *pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Open: p.open, Idle: len(p.idle), Waiting: len(p.waiting), Waited: p.waited, GaveUp: p.gaveUp}
}
