package httpapi

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"cloakroom.dev/libs/fault"
)

// Pace is the slowest a client may be, sending or receiving. The zero value is the default.
type Pace struct {
	Window     time.Duration // over which the rate is held; also the longest wait for a single byte; default 15 s
	FloorBytes int64         // bytes a window must bring; default 15 KiB: any line that works at all has 1 KiB/s
}

func (p Pace) withDefaults() Pace {
	if p.Window <= 0 {
		p.Window = 15 * time.Second
	}
	if p.FloorBytes <= 0 {
		p.FloorBytes = 15 << 10
	}
	return p
}

// allowance is how long n bytes may take at the floor, with one window for the line to wake up.
func (p Pace) allowance(n int64) time.Duration {
	return p.Window + time.Duration(float64(n)/float64(p.FloorBytes)*float64(p.Window))
}

// extendEvery is how seldom the deadline of a body is moved: a fast one comes in thousands of reads a second.
const extendEvery = time.Second

// pacedBody reads a request's body under a rate floor, and remembers why it failed. Only time spent waiting for the
// client counts: a disk of ours that stalls is not the client's fault.
type pacedBody struct {
	ctx    context.Context // of the request; kept because a Read has none, and its end is one of the ways to fail
	src    io.Reader
	leash  *leash
	pace   Pace
	now    func() time.Time
	moved  time.Time     // when the deadline was last moved
	waited time.Duration // in this window
	got    int64         // in this window
	total  int64
	err    error // why there is no more, io.EOF included
}

// Read is io.Reader. Its errors are faults, but for io.EOF.
func (b *pacedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	start := b.now()
	if start.Sub(b.moved) >= extendEvery {
		b.moved = start
		b.leash.until(start.Add(b.pace.Window + extendEvery))
	}
	n, err := b.src.Read(p)
	b.waited += b.now().Sub(start)
	b.got += int64(n)
	b.total += int64(n)
	b.err = b.judge(err)
	if errors.Is(b.err, io.EOF) {
		b.leash.until(time.Time{}) // what follows is our own work
	}
	return n, b.err
}

func (b *pacedBody) judge(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return b.reason(err)
	case b.waited < b.pace.Window:
		return nil
	case b.got < b.pace.FloorBytes:
		return errTooSlow
	default:
		b.waited, b.got = 0, 0
		return nil
	}
}

var errTooSlow = fault.New(fault.Timeout, "the body comes too slowly")

// reason says why a read failed. A fault in the context comes first: it is why the connection was cut.
func (b *pacedBody) reason(err error) error {
	if cause := context.Cause(b.ctx); fault.KindOf(cause) != fault.Internal {
		return cause
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errTooSlow
	}
	return fault.Wrap(fault.Invalid, "the body ended before it was whole", err)
}

// failure is why the body could not be read to its end, or nil. It is the truth even when the core speaks of an ended
// context, which net/http ends for every failed read.
func (b *pacedBody) failure() error {
	if errors.Is(b.err, io.EOF) {
		return nil
	}
	return b.err
}

// whole reports whether the body has been read to its end, so that the connection can go on.
func (b *pacedBody) whole() bool {
	return errors.Is(b.err, io.EOF)
}
