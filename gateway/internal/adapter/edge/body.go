package edge

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"cloakroom.dev/libs/fault"
)

// A body may take its time, but not for ever: in each window at least minWindowBytes must come. That is far below the
// slowest modem, and far above somebody who sends a byte a second to keep a connection.
const (
	bodyWindow     = 10 * time.Second
	minWindowBytes = 512
)

// upload is the client's body on its way to a service. It counts, so that a limit holds for bodies that did not declare
// their length, and keeps a pace. It is read by the transport's goroutine, while the exchange may be ending.
type upload struct {
	io.ReadCloser
	x      *exchange
	limit  int64
	read   int64
	window time.Time // when the present one began
	inside int64     // bytes read in it
	done   func()    // called once, when the body has been read to its end
	failed atomic.Pointer[fault.Error]
	eof    atomic.Bool
}

func tooLarge(limit int64) *fault.Error {
	return fault.New(fault.TooLarge, fmt.Sprintf("the body may have at most %d bytes", limit))
}

// watch puts itself in front of the request's body.
func (u *upload) watch(x *exchange) {
	u.x, u.limit, u.ReadCloser = x, x.rule.MaxBodyBytes, x.r.Body
	x.r.Body = u
}

// ended reports whether nothing of the body is left to read.
func (u *upload) ended() bool { return u.eof.Load() }

func (u *upload) Read(p []byte) (int, error) {
	if f := u.failed.Load(); f != nil {
		return 0, f
	}
	u.pace()
	n, err := u.ReadCloser.Read(p)
	u.read += int64(n)
	u.inside += int64(n)
	switch {
	case u.limit > 0 && u.read > u.limit:
		return 0, u.fail(tooLarge(u.limit))
	case errors.Is(err, io.EOF):
		u.eof.Store(true)
		u.deadline(time.Time{}) // the connection's next read is not part of this body
		if u.done != nil {
			u.done()
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, u.fail(errTooSlow)
	case err != nil:
		return n, u.fail(fault.Wrap(fault.Invalid, "the body ended before it was whole", err))
	case u.slow():
		return n, u.fail(errTooSlow)
	}
	return n, err
}

var errTooSlow = fault.New(fault.Timeout, "the body came too slowly")

// pace begins a window, with a deadline for a client that falls silent altogether.
func (u *upload) pace() {
	now := time.Now()
	if now.Sub(u.window) < bodyWindow {
		return
	}
	u.window, u.inside = now, 0
	u.deadline(now.Add(2 * bodyWindow))
}

func (u *upload) slow() bool {
	return u.inside < minWindowBytes && time.Since(u.window) >= bodyWindow
}

func (u *upload) deadline(at time.Time) { u.x.deadlines(at, time.Time{}) }

func (u *upload) fail(f *fault.Error) error {
	u.failed.CompareAndSwap(nil, f)
	return f
}

// announce tells the client that the connection ends with this answer, when the answer comes before the whole body: what
// is left is not read, and a request sent behind it would be lost without a word.
func (u *upload) announce(answer http.Header) {
	if u.x != nil && !u.eof.Load() {
		answer.Set("Connection", "close")
	}
}

// abandon ends a read that is under way, so that a cut upload is cut now and not when its client sends the next byte.
func (u *upload) abandon() {
	if u.x != nil && !u.eof.Load() {
		u.deadline(time.Now().Add(-time.Second))
	}
}

// answer is a service's body on its way to the client. It tells a service that broke off from a client that did, and
// passes on what has come before it waits for more.
type answer struct {
	io.ReadCloser
	w     http.ResponseWriter
	flush bool // something may have been written that the client has not got
	err   error
}

func (a *answer) Read(p []byte) (int, error) {
	if a.flush {
		_ = http.NewResponseController(a.w).Flush() // a client that has gone shows at the next write
	}
	n, err := a.ReadCloser.Read(p)
	a.flush = n > 0
	if err != nil && !errors.Is(err, io.EOF) {
		a.err = err
	}
	return n, err
}
