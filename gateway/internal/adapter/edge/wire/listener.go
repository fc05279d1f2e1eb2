package wire

import (
	"net"
	"sync"
	"time"
)

// Listen wraps l, so that the connections it accepts are watched and never more than maxConns are open; further ones
// wait in the system's queue. 0 is no bound.
func Listen(l net.Listener, maxConns int) net.Listener {
	w := &listener{Listener: l, done: make(chan struct{})}
	if maxConns > 0 {
		w.slots = make(chan struct{}, maxConns)
	}
	return w
}

type listener struct {
	net.Listener
	slots chan struct{} // nil: no bound
	once  sync.Once
	done  chan struct{}
}

// Accept waits for a free slot and for the next connection of the wrapped listener.
func (l *listener) Accept() (net.Conn, error) {
	if l.slots != nil {
		select {
		case l.slots <- struct{}{}:
		case <-l.done:
			return nil, net.ErrClosed
		}
	}
	release := sync.OnceFunc(l.release)
	c, err := l.Listener.Accept()
	if err != nil {
		release()
		return nil, err
	}
	return &Conn{Conn: c, release: release}, nil
}

func (l *listener) release() {
	if l.slots != nil {
		<-l.slots
	}
}

// Close closes the wrapped listener and ends an Accept that waits for a slot.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// A client that stops reading is cut: each write has a deadline that grows with its length, for at least writeRate bytes
// a second. The deadline is moved rarely, so that a write costs no system call more.
const (
	writeStall = 30 * time.Second
	writeRate  = 1 << 10
)

// Write sends p, or fails when the client does not take it in time.
func (c *Conn) Write(p []byte) (int, error) {
	now := time.Now()
	need := now.Add(writeStall/2 + time.Duration(len(p)/writeRate)*time.Second)
	if by := c.writeBy.Load(); by == 0 || by < need.UnixNano() {
		if err := c.SetWriteDeadline(need.Add(writeStall / 2)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline remembers what the deadline is.
func (c *Conn) SetWriteDeadline(at time.Time) error {
	c.remember(at)
	return c.Conn.SetWriteDeadline(at)
}

// SetDeadline remembers what the write deadline is.
func (c *Conn) SetDeadline(at time.Time) error {
	c.remember(at)
	return c.Conn.SetDeadline(at)
}

func (c *Conn) remember(at time.Time) {
	if at.IsZero() {
		c.writeBy.Store(0)
		return
	}
	c.writeBy.Store(at.UnixNano())
}
