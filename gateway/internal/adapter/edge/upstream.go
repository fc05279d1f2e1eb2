package edge

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
	"cloakroom.dev/libs/telemetry/metric"
)

// Upstream is one service behind the gateway, at all of its addresses.
type Upstream struct {
	name     string
	url      *url.URL // its first address
	balancer *upstream.Balancer
	tracer   trace.Tracer // nil without tracing
	metrics  *upstreamMetrics
	inside   Inside // nil when it is reached over the network
	// endsCallers says that the service ends sessions, and marks answers of requests that ended their own.
	endsCallers bool
}

// NewUpstream makes an upstream. opts.Connect is the edge's own, and opts.Dial the pool's as well: both are the inside's for a
// service of the same process, which is nil for all others.
func NewUpstream(opts upstream.Options, pool upstream.Pool, inside Inside) (*Upstream, error) {
	if inside != nil {
		opts.Dial, pool.Dial = inside.Dial, inside.Dial
	}
	opts.Connect = func(base *url.URL) upstream.Conn { return upstream.NewAddress(base, pool) }
	balancer, err := upstream.New(opts)
	if err != nil {
		return nil, err
	}
	return &Upstream{name: opts.Name, url: opts.URLs[0], balancer: balancer, inside: inside}, nil
}

// EndsCallers says that this service ends sessions, keys and rights, and marks what it answers to those who ended their own.
func (u *Upstream) EndsCallers() { u.endsCallers = true }

// observe gives the upstream its metrics and its tracer.
func (u *Upstream) observe(m *metrics, provider trace.TracerProvider) {
	u.metrics = m.upstream(u.name)
	if _, off := provider.(noop.TracerProvider); provider != nil && !off {
		u.tracer = provider.Tracer("cloakroom.dev/gateway/edge")
	}
}

// RoundTrip sends the request of an exchange and measures it until the answer begins. The exchange holds its place at the
// address until it is finished.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	span := u.start(r)
	x := exchangeOf(r.Context())
	res, err := u.balancer.Send(r, &x.place, x.rule.Retries)
	status := 0
	if err == nil {
		status = res.StatusCode
	}
	u.measure(x, began, span, status, err)
	return res, err
}

// measure notes that the wait for an answer that began then is over.
func (u *Upstream) measure(x *exchange, began time.Time, span trace.Span, status int, err error) {
	metric.Observe(&x.ctx, u.metrics.seconds, time.Since(began))
	if u.tracer != nil {
		end(span, &x.place, status, err)
	}
}

var propagator = propagation.TraceContext{}

// start begins the client span and names it to the service.
func (u *Upstream) start(r *http.Request) trace.Span {
	if u.tracer == nil {
		return nil
	}
	// The span's context is for the headers alone: another request context would cost a copy of the request.
	ctx, span := u.tracer.Start(context.WithoutCancel(r.Context()), r.Method+" "+u.name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("http.request.method", r.Method)))
	propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
	return span
}

func end(span trace.Span, place *upstream.Place, status int, err error) {
	if at := place.Address(); at != "" {
		span.SetAttributes(attribute.String("server.address", at))
	}
	if n := place.Resent(); n > 0 {
		span.SetAttributes(attribute.Int("http.request.resend_count", n))
	}
	switch {
	case err != nil:
		span.SetStatus(codes.Error, "no answer")
	default:
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
}
