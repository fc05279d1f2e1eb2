// Package hop is a net.Listener whose connections never leave the process. Servers and clients that share one speak over it as
// they would over TCP: what is written, framed, streamed, bounded and cut is decided by the same code, only the kernel is not asked.
// Whoever has a request and its answer's writer at hand can Call, and hand both over as they are.
//
//	Dial ── two ends of one connection ── Accept
//	         flow: bytes one way, from whoever writes into the memory of whoever waits to read
//
// Promises: a Read returns as soon as there is a byte, a Write when all of it was taken, so a reader that is slow slows its writer
// down; deadlines end what waits, at once; Close ends both directions, CloseWrite one. A connection holds memory only while a short
// write waits for its reader, and then 4 KiB.
package hop

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// Listener makes connections of those who Dial and those who Accept.
type Listener struct {
	addr    addr
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
	clients atomic.Uint32
	calls   calls
}

// Listen makes a Listener. The name is only for people: it is what Addr says.
func Listen(name string) *Listener {
	l := &Listener{addr: addr(name), waiting: make(chan net.Conn), closed: make(chan struct{})}
	l.calls.served = make(chan struct{})
	return l
}

// Dial returns a connection that has been accepted. It waits for that until ctx ends.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	select {
	case <-l.closed: // which select might overlook, if it had both
		return nil, l.refused(net.ErrClosed)
	default:
	}
	there, back := newFlow(), newFlow()
	// The peer is who it would be over loopback, since servers look at where requests come from.
	client := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(1024 + l.clients.Add(1)%60000)}
	select {
	case l.waiting <- &Conn{in: there, out: back, local: l.addr, remote: client}:
		return &Conn{in: back, out: there, local: client, remote: l.addr}, nil
	case <-l.closed:
		return nil, l.refused(net.ErrClosed)
	case <-ctx.Done():
		return nil, l.refused(context.Cause(ctx))
	}
}

func (l *Listener) refused(err error) error {
	return &net.OpError{Op: "dial", Net: l.addr.Network(), Addr: l.addr, Err: err}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close ends Dial and Accept. Connections that are open stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is the name.
func (l *Listener) Addr() net.Addr { return l.addr }

type addr string

func (addr) Network() string  { return "hop" }
func (a addr) String() string { return string(a) }
