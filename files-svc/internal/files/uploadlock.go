package files

import (
	"context"
	"sync"
	"time"
)

// takeOverTime is how long a request waits for the one before it to make durable what it has and let go.
const takeOverTime = 15 * time.Second

// uploadLocks sees to it that one request at a time works on an upload. The latest wins: a client that comes again has
// given up the connection it had, and waiting for that to time out would keep it from its upload for minutes. There are
// never more locks than requests.
type uploadLocks struct {
	mu   sync.Mutex
	held map[UploadID]*uploadHold
}

type uploadHold struct {
	interrupt func(error) // ends the holder's work; nil: it ends soon by itself
	done      chan struct{}
}

func newUploadLocks() *uploadLocks { return &uploadLocks{held: map[UploadID]*uploadHold{}} }

// take waits until the upload is the caller's, and interrupts whoever has it.
func (l *uploadLocks) take(ctx context.Context, id UploadID, interrupt func(error)) (release func(), err error) {
	patience := time.NewTimer(takeOverTime)
	defer patience.Stop()
	for {
		release, holder := l.try(id, interrupt)
		if release != nil {
			return release, nil
		}
		if holder.interrupt != nil {
			holder.interrupt(errTakenOver)
		}
		select {
		case <-holder.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-patience.C:
			return nil, errBusy
		}
	}
}

// try takes the upload when nobody has it; else it tells who.
func (l *uploadLocks) try(id UploadID, interrupt func(error)) (release func(), holder *uploadHold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if holder := l.held[id]; holder != nil {
		return nil, holder
	}
	own := &uploadHold{interrupt: interrupt, done: make(chan struct{})}
	l.held[id] = own
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, id)
		close(own.done)
	}, nil
}
