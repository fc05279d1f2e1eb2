package upstream

import (
	"bufio"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is one connection to a service. One exchange at a time has it.
type conn struct {
	net.Conn
	plain     net.Conn // below TLS, or Conn itself
	pool      *pool
	secured   bool // Conn is TLS
	reused    bool // it has served another request
	idleSince time.Time
	gone      atomic.Bool
	*lane     // while an exchange has it

	cut    func()      // sever, made once
	silent func() bool // neither bytes nor an end can be read from plain

	mu      sync.Mutex // over the deadlines
	severed bool       // they are past, for good
	begun   bool       // the answer has: nothing bounds the reading of it
	bounded bool       // a read deadline is set
}

// newConn makes a connection of one that has been dialled.
func newConn(plain net.Conn, p *pool) (*conn, error) {
	c := &conn{Conn: plain, plain: plain, pool: p}
	var err error
	c.cut = c.sever
	c.silent, err = silence(plain)
	return c, err
}

// silence returns what tells whether there is nothing to read from a connection.
func silence(plain net.Conn) (func() bool, error) {
	if own, ok := plain.(interface{ Quiet() bool }); ok {
		return own.Quiet, nil
	}
	socket, ok := plain.(syscall.Conn)
	if !ok {
		return nil, errors.New("a connection without a socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var silent bool
	look := func(fd uintptr) bool {
		silent = nothingToRead(fd)
		return true
	}
	return func() bool {
		silent = false
		return raw.Read(look) == nil && silent
	}, nil
}

// lane is the memory an exchange works in.
type lane struct {
	in   *bufio.Reader
	head []byte // a head, whole
}

const (
	readBytes = 4 << 10
	headBytes = 2 << 10  // of most heads
	keptBytes = 16 << 10 // a longer one is not kept
)

var lanes = sync.Pool{New: func() any {
	return &lane{bufio.NewReaderSize(nil, readBytes), make([]byte, 0, headBytes)}
}}

// arm gives the connection memory to work in.
func (c *conn) arm() {
	c.lane = lanes.Get().(*lane) //nolint:forcetypeassert // the pool holds nothing else
	c.in.Reset(c.Conn)
	c.begun = false
}

// disarm takes it back. Nobody may be reading.
func (c *conn) disarm() {
	l := c.lane
	if l == nil {
		return
	}
	c.lane = nil
	l.in.Reset(nil)
	if cap(l.head) <= keptBytes {
		l.head = l.head[:0]
		lanes.Put(l)
	}
}

// close closes the connection and gives up its place, once.
func (c *conn) close() {
	if c.gone.Swap(true) {
		return
	}
	_ = c.plain.Close() // TLS would say good-bye, and wait for it to be taken
	c.pool.leave()
}

// past is over.
var past = time.Unix(1, 0)

// sever ends reads and writes that wait, and lets none begin.
func (c *conn) sever() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.severed = true
	_ = c.SetDeadline(past)
}

// readWithin bounds the wait for an answer to begin; 0 is no bound.
func (c *conn) readWithin(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.severed || c.begun {
		return
	}
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	c.bounded = d > 0
	_ = c.SetReadDeadline(at)
}

// answerBegins lifts the bound that readWithin has set.
func (c *conn) answerBegins() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
	if c.bounded && !c.severed {
		c.bounded = false
		_ = c.SetReadDeadline(time.Time{})
	}
}

// serves reports whether the connection may take another request, and closes it otherwise.
func (c *conn) serves() bool {
	c.reused = c.quiet()
	if !c.reused {
		c.close()
	}
	return c.reused
}

// quiet reports whether the service has neither closed the connection nor said something on it that nobody asked for.
func (c *conn) quiet() bool {
	return c.silent() && (!c.secured || c.quietInside())
}

// quietInside asks the same of what TLS may have read ahead: with a deadline that is past nothing more is read.
func (c *conn) quietInside() bool {
	_ = c.SetReadDeadline(past)
	var one [1]byte
	n, err := c.Read(one[:])
	_ = c.SetReadDeadline(time.Time{})
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
