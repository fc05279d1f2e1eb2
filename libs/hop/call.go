package hop

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// calls are requests that are handed over as they are.
type calls struct {
	handler http.Handler
	base    context.Context //nolint:containedctx // of all calls, as a http.Server's BaseContext is of all requests
	cut     context.CancelFunc
	served  chan struct{} // closed once there is a handler
	running atomic.Int64
}

// Handle serves what comes by Call, each in a context of its own made from base. It is called once, beside a server's Serve.
func (l *Listener) Handle(base context.Context, h http.Handler) {
	l.calls.base, l.calls.cut = context.WithCancel(base)
	l.calls.handler = h
	close(l.calls.served)
}

// Call serves r by the Listener's handler, on the goroutine that calls. Nothing of r's context reaches the handler but its end. It
// waits for a handler until r's context ends, and fails when the Listener is closed; nothing has happened then.
func (l *Listener) Call(w http.ResponseWriter, r *http.Request) error {
	l.calls.running.Add(1)
	defer l.calls.running.Add(-1)
	select {
	case <-l.closed: // which select might overlook, if it had both
		return l.refused(net.ErrClosed)
	default:
	}
	select {
	case <-l.calls.served:
	case <-l.closed:
		return l.refused(net.ErrClosed)
	case <-r.Context().Done():
		return l.refused(context.Cause(r.Context()))
	}
	ctx, cancel := context.WithCancel(l.calls.base)
	defer cancel()
	defer context.AfterFunc(r.Context(), cancel)()
	l.calls.handler.ServeHTTP(w, r.WithContext(ctx))
	return nil
}

// Finish waits for what was called before Close. When ctx ends first, the contexts of what is left end with it.
func (l *Listener) Finish(ctx context.Context) error {
	for l.calls.running.Load() > 0 {
		select {
		case <-ctx.Done():
			if l.calls.cut != nil {
				l.calls.cut()
			}
			return context.Cause(ctx)
		case <-time.After(finishInterval):
		}
	}
	return nil
}

// finishInterval is between two looks at whether all calls have ended.
const finishInterval = 5 * time.Millisecond
