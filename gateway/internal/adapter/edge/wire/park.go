package wire

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// A connection that waits for its client's next request costs net/http two buffers of 4 KiB, and a goroutine whose stack the last
// handler has grown. One that has waited for a while is taken away from net/http, which is told that it has ended, and given
// back as a new one with the first byte of the next request. Meanwhile it is a goroutine with the smallest stack there is.
//
// That is safe only between two requests: nothing of the next has been read, by anybody.

// parking is what a connection knows of its waiting.
type parking struct {
	mu    sync.Mutex
	idle  bool      // net/http waits for a request, and nothing of it has come
	asked time.Time // the read deadline that net/http wants; zero is none
	left  bool      // net/http has been told that the connection has ended
	taken bool      // and has let go of it
}

// ConnState is for http.Server: it tells connections when they wait.
func ConnState(c net.Conn, state http.ConnState) {
	if own, ok := c.(*Conn); ok {
		own.parking.mu.Lock()
		own.parking.idle = state == http.StateIdle && own.clean()
		own.parking.mu.Unlock()
	}
}

// clean reports whether nothing of a next request has been seen. The caller is who reads.
func (c *Conn) clean() bool {
	return c.lot != nil && !c.raw && !c.cut && len(c.ready) == 0 && len(c.held) == 0 &&
		c.scan.state == inRequestLine && c.scan.lineBytes == 0
}

// SetReadDeadline sets a deadline. A connection that waits looks up earlier, to be parked.
func (c *Conn) SetReadDeadline(at time.Time) error {
	p := &c.parking
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = at
	if p.idle {
		if soon := time.Now().Add(c.lot.after); at.IsZero() || soon.Before(at) {
			at = soon
		}
	}
	return c.Conn.SetReadDeadline(at)
}

// lookedUp reports whether a read has failed only because a connection that waits looks up before the deadline net/http asked
// for. From then on that deadline holds.
func (c *Conn) lookedUp(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	p := &c.parking
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.idle || !p.asked.IsZero() && !time.Now().Before(p.asked) {
		return false
	}
	p.idle = false
	return c.Conn.SetReadDeadline(p.asked) == nil
}

// leaves reports whether the connection that has looked up is to be parked: not when a request has begun meanwhile.
func (c *Conn) leaves() bool {
	p := &c.parking
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = c.clean()
	return p.left
}

// parked takes the connection from net/http when it closes what it was told has ended, and reports whether that is so.
func (c *Conn) parked() bool {
	p := &c.parking
	p.mu.Lock()
	left, first := p.left, p.left && !p.taken
	p.taken = left
	p.mu.Unlock()
	if first {
		c.lot.take(c)
	}
	return left
}

// end closes the connection and gives up its place.
func (c *Conn) end() {
	c.release()
	_ = c.Conn.Close()
}

// lot is where connections wait that net/http knows nothing of.
type lot struct {
	after time.Duration // a wait of this length brings a connection here
	count Gauge         // of those that are here
	back  chan net.Conn // those whose client has spoken again
	done  chan struct{}

	mu     sync.Mutex
	closed bool
	here   map[*Conn]struct{}
}

func newLot(after time.Duration, count Gauge) *lot {
	return &lot{after: after, count: count, back: make(chan net.Conn), done: make(chan struct{}), here: map[*Conn]struct{}{}}
}

// take has c wait here for as long as net/http would have. What needs a deeper stack is done on the one that is about to go.
func (l *lot) take(c *Conn) {
	var raw syscall.RawConn
	socket, ok := c.Conn.(syscall.Conn)
	if ok {
		var err error
		raw, err = socket.SyscallConn()
		ok = err == nil && c.Conn.SetReadDeadline(c.parking.asked) == nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !ok {
		c.end()
		return
	}
	l.here[c] = struct{}{}
	l.count.Inc()
	go l.await(c, raw) // ends with the connection, its idle timeout or the listener
}

// await waits for the client.
func (l *lot) await(c *Conn, raw syscall.RawConn) {
	if speaks(raw) {
		l.giveBack(c)
	} else {
		l.forget(c)
		c.end()
	}
}

func (l *lot) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.here, c)
	l.count.Dec()
}

// giveBack has net/http take c for a new connection.
func (l *lot) giveBack(c *Conn) {
	l.forget(c)
	_ = c.Conn.SetReadDeadline(time.Time{})
	select {
	case l.back <- &Conn{Conn: c.Conn, release: c.release, scan: scanner{most: c.scan.most}, lot: l}:
	case <-l.done:
		c.end()
	}
}

// close ends those that are here, and those that come.
func (l *lot) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.done)
	for c := range l.here {
		_ = c.Conn.Close() // which ends its wait
	}
}
