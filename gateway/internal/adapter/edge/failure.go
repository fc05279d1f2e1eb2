package edge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
	"cloakroom.dev/libs/fault"
)

var (
	errRequestTimeout = fault.New(fault.UpstreamTimeout, "the request took longer than this route allows")
	errAnswerTimeout  = fault.New(fault.UpstreamTimeout, "the service did not answer in time")
)

// fail is told that no answer came. The proxy calls it before anything has been written.
func fail(_ http.ResponseWriter, r *http.Request, err error) {
	exchangeOf(r.Context()).failed(err)
}

// failed refuses an exchange that got no answer.
func (x *exchange) failed(err error) {
	reason := x.explain(err)
	if reason == nil {
		// The client has gone. Nobody reads an answer; aborting says so in the log and spares the connection's state.
		panic(http.ErrAbortHandler)
	}
	x.upload.announce(x.w.Header())
	x.upload.abandon()
	x.refuse(reason)
}

// explain finds who ended the exchange: the client's body, the gateway itself, the client, or the service. nil means
// the client.
func (x *exchange) explain(err error) error {
	if f := x.upload.failed.Load(); f != nil {
		if x.r.Context().Err() != nil {
			return nil
		}
		return f
	}
	if x.ctx.Err() != nil {
		var f *fault.Error
		switch cause := context.Cause(&x.ctx); {
		case errors.As(cause, &f):
			x.upstream.metrics.ended(f)
			return f
		default:
			return nil
		}
	}
	return x.upstreamFailure(err)
}

// upstreamFailure says how the service failed. What exactly was wrong is for the log: it names addresses.
func (x *exchange) upstreamFailure(err error) error {
	m := x.upstream.metrics
	var known *fault.Error
	if errors.As(err, &known) {
		return known // nothing was sent: no room, or no address
	}
	var unsent *upstream.NotSentError
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &unsent), errors.As(err, &op) && op.Op == "dial":
		m.dial.Inc()
		return fault.Wrap(fault.Unavailable, "the service behind this path is not reachable", err)
	case errors.As(err, &timeout) && timeout.Timeout():
		m.timeout.Inc()
		return &fault.Error{Kind: fault.UpstreamTimeout, Detail: errAnswerTimeout.Detail, RetryAfter: time.Second}
	default:
		m.broken.Inc()
		return fault.Wrap(fault.UpstreamFailed, "the service behind this path broke off", err)
	}
}
