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
)

// Pool bounds the connections to one address of an upstream.
type Pool = upstream.Pool

// Upstream is one service behind the gateway.
type Upstream struct {
	name    string
	url     *url.URL
	address *upstream.Address
	tracer  trace.Tracer // nil without tracing
	metrics *upstreamMetrics
}

// NewUpstream makes an upstream. base is scheme, host and port.
func NewUpstream(name string, base *url.URL, pool Pool) *Upstream {
	return &Upstream{name: name, url: base, address: upstream.NewAddress(base, pool)}
}

// observe gives the upstream its metrics and its tracer.
func (u *Upstream) observe(m *metrics, provider trace.TracerProvider) {
	u.metrics = m.upstream(u.name)
	if _, off := provider.(noop.TracerProvider); provider != nil && !off {
		u.tracer = provider.Tracer("cloakroom.dev/gateway/edge")
	}
}

// RoundTrip sends a request and measures it until the answer begins.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	span := u.start(r)
	res, err := u.address.RoundTrip(r)
	u.metrics.seconds.Observe(time.Since(began).Seconds())
	if u.tracer != nil {
		end(span, res, err)
	}
	return res, err
}

var propagator = propagation.TraceContext{}

// start begins the client span and names it to the service.
func (u *Upstream) start(r *http.Request) trace.Span {
	if u.tracer == nil {
		return nil
	}
	// The span's context is for the headers alone: another request context would cost a copy of the request.
	ctx, span := u.tracer.Start(context.WithoutCancel(r.Context()), r.Method+" "+u.name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("server.address", u.url.Host)))
	propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
	return span
}

func end(span trace.Span, res *http.Response, err error) {
	switch {
	case err != nil:
		span.SetStatus(codes.Error, "no answer")
	default:
		span.SetAttributes(attribute.Int("http.response.status_code", res.StatusCode))
		if res.StatusCode >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
}
