package wire

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of a listener.
type Limits struct {
	Connections int // open at once; further ones wait in the system's queue; 0 is no bound
	// PerAddress is how many one client address (IPv6: its /64) may have open; further ones are closed at once. 0 is no
	// bound.
	PerAddress int
	Proxy      func(netip.Addr) bool // tells addresses that speak for many clients and are not counted; may be nil
	Refused    func()                // told of each connection that was one too many; may be nil
	Open       Gauge                 // connections that are open; may be nil
	Parked     Gauge                 // of them, those that are parked; may be nil
	// HeaderBytes is the server's MaxHeaderBytes: longer heads are refused. 0 means 64 KiB.
	HeaderBytes int
	// Park is how long a connection waits for its client's next request before it is taken away from net/http, with the memory that
	// it holds there; 0 is for ever. The server's ConnState must be this package's.
	Park time.Duration
}

// Gauge is told when there is one more, and one fewer.
type Gauge interface {
	Inc()
	Dec()
}

type noGauge struct{}

func (noGauge) Inc() {}
func (noGauge) Dec() {}

// Listen wraps l, so that the connections it accepts are watched.
func Listen(l net.Listener, limits Limits) net.Listener {
	w := &listener{
		Listener: l, done: make(chan struct{}), maxHead: cmp.Or(limits.HeaderBytes, 64<<10),
		crowd: crowd{most: limits.PerAddress, proxy: limits.Proxy}, refused: limits.Refused, open: cmp.Or[Gauge](limits.Open, noGauge{}),
	}
	if limits.Connections > 0 {
		w.slots = make(chan struct{}, limits.Connections)
	}
	if limits.Park > 0 && canPark {
		w.lot = newLot(limits.Park, cmp.Or[Gauge](limits.Parked, noGauge{}))
	}
	return w
}

type listener struct {
	net.Listener
	maxHead int
	crowd   crowd
	refused func()
	open    Gauge
	slots   chan struct{} // nil: no bound
	once    sync.Once
	done    chan struct{}

	lot   *lot // nil: nothing is parked
	begin sync.Once
	fresh chan accepted
}

type accepted struct {
	conn net.Conn
	err  error
}

// Accept waits for a new connection, or for one that was parked and has something to say.
func (l *listener) Accept() (net.Conn, error) {
	if l.lot == nil {
		return l.accept()
	}
	l.begin.Do(func() {
		l.fresh = make(chan accepted)
		go l.acceptAll()
	})
	select {
	case a := <-l.fresh:
		return a.conn, a.err
	case c := <-l.lot.back:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// acceptAll brings new connections until the listener is closed.
func (l *listener) acceptAll() {
	for {
		c, err := l.accept()
		select {
		case l.fresh <- accepted{c, err}:
		case <-l.done:
			if err == nil {
				_ = c.Close()
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// accept waits for a free slot and for the next connection of the wrapped listener whose address has not too many.
func (l *listener) accept() (net.Conn, error) {
	if l.slots != nil {
		select {
		case l.slots <- struct{}{}:
		case <-l.done:
			return nil, net.ErrClosed
		}
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			l.release()
			return nil, err
		}
		leave, ok := l.crowd.enter(c)
		if ok {
			l.open.Inc()
			return &Conn{Conn: c, release: sync.OnceFunc(func() { l.open.Dec(); leave(); l.release() }), scan: scanner{most: l.maxHead}, lot: l.lot}, nil
		}
		_ = c.Close() // nothing was read or written
		if l.refused != nil {
			l.refused()
		}
	}
}

func (l *listener) release() {
	if l.slots != nil {
		<-l.slots
	}
}

// Close closes the wrapped listener and what is parked, and ends an Accept that waits for a slot.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		if l.lot != nil {
			l.lot.close()
		}
	})
	return l.Listener.Close()
}

// A client that stops reading is cut: each write has a deadline that grows with its length, for at least writeRate bytes
// a second. The deadline is moved only when it has come near, so that most writes cost no call more.
const (
	writeStall = 30 * time.Second
	writeRate  = 1 << 10
)

// deadlines are the write deadlines of a connection: ours, and the one that somebody else asked for, which counts more.
type deadlines struct {
	mu    sync.Mutex
	ours  time.Time
	asked bool
}

// Write sends p, or fails when the client does not take it in time.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.extend(len(p)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// extend makes sure that a write of n bytes has its time.
func (c *Conn) extend(n int) error {
	c.write.mu.Lock()
	defer c.write.mu.Unlock()
	need := time.Now().Add(writeStall/2 + time.Duration(n/writeRate)*time.Second)
	if c.write.asked || need.Before(c.write.ours) {
		return nil
	}
	c.write.ours = need.Add(writeStall / 2)
	return c.Conn.SetWriteDeadline(c.write.ours)
}

// SetWriteDeadline sets a deadline that holds until it is taken back with the zero time.
func (c *Conn) SetWriteDeadline(at time.Time) error {
	c.write.mu.Lock()
	defer c.write.mu.Unlock()
	if at.IsZero() && !c.write.asked {
		return nil // net/http says so after each request
	}
	c.write.asked, c.write.ours = !at.IsZero(), time.Time{}
	return c.Conn.SetWriteDeadline(at)
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at))
}
