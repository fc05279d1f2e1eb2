package httpapi

import (
	"context"
	"sync"
	"time"
)

// longAgo as a deadline makes a blocked read or write return at once.
var longAgo = time.Unix(1, 0)

// leash holds one direction of a connection to the context of its request: when that ends, because the session was
// revoked or the client has gone, a read or write that is blocked returns at once. A deadline that the transfer sets
// for itself can't undo that.
type leash struct {
	setDeadline func(time.Time) error // of a http.ResponseController; fails only where there is no connection, in tests
	mu          sync.Mutex
	bounded     bool // a deadline is set
	over        bool
}

// hold puts a direction on a leash. The returned function takes it off and must be called when the transfer is over; it
// leaves no deadline behind on a connection that may go on to its next request.
func hold(ctx context.Context, setDeadline func(time.Time) error) (*leash, func()) {
	l := &leash{setDeadline: setDeadline}
	stop := context.AfterFunc(ctx, func() { l.end(longAgo) })
	return l, func() {
		stop()
		l.end(time.Time{})
	}
}

// until moves the deadline of a transfer that is making progress.
func (l *leash) until(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.set(t)
	}
}

// set moves the deadline; one that is not there is not taken away. The caller holds mu.
func (l *leash) set(t time.Time) {
	if l.bounded || !t.IsZero() {
		l.bounded = !t.IsZero()
		_ = l.setDeadline(t)
	}
}

// end sets the last deadline. Whoever comes first wins: a cut connection stays cut, and one whose transfer is over is
// not cut by the end of a context that nobody waits for any more.
func (l *leash) end(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		l.set(t)
	}
}
