// Package web is the HTTP every service speaks: one outermost handler, one router, one way to take and give JSON.
//
//	listener -> Edge (recover, request id, trace, metrics, access log, client address)
//	         -> Mux (gorilla/mux; the only importer) -> JSON or Func -> the service's own function
//
// Edge stands outside the router, so a 404, a 405 and a panic are logged, counted and traced like any answer. Requests
// are strict: JSON decodes with a size limit and a depth limit, refuses unknown, duplicate and case-variant keys, and
// answers once with every bad field. Whatever a handler returns as an error becomes a problem document.
package web

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/problem"
)

// RequestIDHeader carries the id of a request in, out and on to the next service.
const RequestIDHeader = "X-Request-Id"

// CallerEndedHeader is how the auth service tells the gateway, and nobody else, that an answer is of a request that has ended
// the session, key or rights it came with: this much of its caller's is still to be delivered.
const CallerEndedHeader = "X-Internal-Caller-Ended"

// lingerTime is how long a client may take to send what nobody reads any more. net/http reads on for a while after an
// answer, to keep the connection usable, and has no deadline for it: without one, a refused request whose body never comes
// would hold its connection for ever.
const lingerTime = 5 * time.Second

// EdgeOptions is what Edge needs; Listener is required.
type EdgeOptions struct {
	Listener   string // label of metrics: which of the service's listeners this is
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Tracer     trace.TracerProvider
	Trust      TrustedProxies
	Strangers  bool // callers are anybody: their traces are linked to ours and not continued
}

// Edge wraps next as the outermost handler of a listener.
func Edge(next http.Handler, opts EdgeOptions) http.Handler {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &edge{
		next: next, log: opts.Log, trust: opts.Trust,
		metrics: newMetrics(opts.Registerer, opts.Listener), tracer: newTracer(opts.Tracer, opts.Strangers),
	}
}

type edge struct {
	next    http.Handler
	log     *slog.Logger
	trust   TrustedProxies
	metrics *metrics
	tracer  tracer
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := &info{id: requestID(r), log: e.log, start: time.Now(), client: e.trust.Client(r), route: unmatched}
	ctx, span := e.tracer.start(problem.WithScope(r.Context(), in), r)
	r = r.WithContext(ctx)
	in.request = r
	rw := &response{ResponseWriter: w}
	rw.Header().Set(RequestIDHeader, in.id)
	e.metrics.inFlight.Inc()
	defer func() {
		cause := recover()
		abort := e.recovered(rw, r, cause)
		e.finish(rw, r, in, span)
		if abort {
			panic(http.ErrAbortHandler) // net/http closes the connection, so the client sees that the answer is not whole
		}
	}()
	e.next.ServeHTTP(rw, r)
	if r.ContentLength != 0 && rw.status != http.StatusSwitchingProtocols {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTime)) // net/http undoes it for the next request
	}
}

// recovered answers for a panic and reports whether the connection must be cut.
func (e *edge) recovered(rw *response, r *http.Request, cause any) (abort bool) {
	switch cause {
	case nil:
		return false
	case http.ErrAbortHandler:
		rw.aborted = true
		return true
	}
	e.log.ErrorContext(r.Context(), "handler panicked", "panic", cause, "stack", string(debug.Stack()))
	e.metrics.panics.Inc()
	if rw.status != 0 {
		rw.aborted = true
		return true
	}
	problem.Write(rw, r, fault.New(fault.Internal, "panic"))
	return false
}

func (e *edge) finish(rw *response, r *http.Request, in *info, span trace.Span) {
	took := time.Since(in.start)
	status := rw.outcome()
	e.metrics.observe(in.route, r.Method, status, took, span)
	e.tracer.end(span, in.route, r.Method, status)
	e.logAccess(rw, r, in, status, took)
}

// logAccess hands the record to the handler itself: a Logger looks up who called it, for every request, and nobody asks.
func (e *edge) logAccess(rw *response, r *http.Request, in *info, status int, took time.Duration) {
	level := slog.LevelInfo
	if in.quiet && (status < http.StatusInternalServerError || status == http.StatusServiceUnavailable) {
		level = slog.LevelDebug
	}
	ctx, handler := r.Context(), e.log.Handler()
	if !handler.Enabled(ctx, level) {
		return
	}
	record := slog.NewRecord(in.start.Add(took), level, "request", 0)
	record.AddAttrs(
		slog.String("method", r.Method), slog.String("route", in.route), slog.String("path", in.loggedPath()),
		slog.Int("status", status), slog.Int64("bytes", rw.bytes), slog.Int64("duration_us", took.Microseconds()),
		slog.String("client", in.client.String()))
	_ = handler.Handle(ctx, record) // a log that can't be written has nobody to tell
}

// requestID keeps the caller's id when it is well formed, so that one id follows a request through every service.
func requestID(r *http.Request) string {
	if ids := r.Header[RequestIDHeader]; len(ids) == 1 && wellFormedID(ids[0]) {
		return ids[0]
	}
	id, err := uuid.NewV7()
	if err != nil { // the system has no randomness left: an id is worth less than the answer
		return "unknown"
	}
	return id.String()
}

func wellFormedID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
