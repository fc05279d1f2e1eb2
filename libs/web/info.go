package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"cloakroom.dev/libs/problem"
)

// unmatched is the route of a request that no route took. It is one value, so that paths nobody serves can't fill
// the metrics.
const unmatched = "unmatched"

// info is what travels with a request. It implements problem.Scope and is written by the request's own goroutine only.
type info struct {
	id      string
	log     *slog.Logger
	request *http.Request
	client  netip.Addr
	route   string
	hidden  bool
	quiet   bool
	shape   problem.Shape
	start   time.Time
}

// RequestID returns the id of the request.
func (in *info) RequestID() string { return in.id }

// Logger returns the logger of the service.
func (in *info) Logger() *slog.Logger { return in.log }

// Shape returns how refusals of this request look; nil is the usual.
func (in *info) Shape() problem.Shape { return in.shape }

func (in *info) loggedPath() string {
	if in.hidden {
		return "[redacted]"
	}
	return in.request.URL.Path // never the query: tokens have been seen there
}

func from(ctx context.Context) *info {
	in, _ := problem.ScopeFrom(ctx).(*info)
	return in
}

// Request returns the request a JSON handler serves, for what its typed input does not carry. It is nil outside Edge.
func Request(ctx context.Context) *http.Request {
	if in := from(ctx); in != nil {
		return in.request
	}
	return nil
}

// RequestID returns the id of the request, or "" outside Edge.
func RequestID(ctx context.Context) string {
	if in := from(ctx); in != nil {
		return in.id
	}
	return ""
}

// ClientAddr returns the address of the client as the trusted proxies tell it; it is the zero Addr outside Edge.
func ClientAddr(ctx context.Context) netip.Addr {
	if in := from(ctx); in != nil {
		return in.client
	}
	return netip.Addr{}
}

// SetRoute names the route that took the request, for metrics, logs and traces. Names come from a closed set.
func SetRoute(ctx context.Context, name string) {
	if in := from(ctx); in != nil {
		in.route = name
	}
}

// SetShape lets every refusal of this request, also those written further out, look as clients of another contract expect.
func SetShape(ctx context.Context, shape problem.Shape) {
	if in := from(ctx); in != nil {
		in.shape = shape
	}
}

// HidePath keeps the request's path out of the log, for routes that carry a secret in it.
func HidePath(ctx context.Context) {
	if in := from(ctx); in != nil {
		in.hidden = true
	}
}

// Quiet keeps an answered request out of the log unless it is set to debug, for what is asked every second: probes, and the
// services among themselves. Failures are logged as ever.
func Quiet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if in := from(r.Context()); in != nil {
			in.quiet = true
		}
		next.ServeHTTP(w, r)
	})
}
