package edge

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Pool bounds the connections to one upstream.
type Pool struct {
	MaxConns     int // at once; 0 is no bound
	MaxIdleConns int
	IdleTimeout  time.Duration
	DialTimeout  time.Duration
}

// continueTimeout is how long a client that asked for 100-continue is made to wait for the service's word. It is long
// enough for the service to look at the request, so that a refused upload is never sent.
const continueTimeout = 10 * time.Second

// maxAnswerHeaderBytes bounds the header of a service's answer.
const maxAnswerHeaderBytes = 256 << 10

// Upstream is one service behind the gateway.
type Upstream struct {
	name      string
	url       *url.URL
	transport *http.Transport
	tracer    trace.Tracer // nil without tracing
	metrics   *upstreamMetrics
}

// NewUpstream makes an upstream. base is scheme, host and port.
func NewUpstream(name string, base *url.URL, pool Pool) *Upstream {
	dialer := &net.Dialer{Timeout: pool.DialTimeout, KeepAlive: 15 * time.Second}
	return &Upstream{name: name, url: base, transport: &http.Transport{
		DialContext:            dialer.DialContext,
		MaxIdleConnsPerHost:    pool.MaxIdleConns,
		MaxConnsPerHost:        pool.MaxConns,
		IdleConnTimeout:        pool.IdleTimeout,
		TLSHandshakeTimeout:    pool.DialTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxAnswerHeaderBytes,
		DisableCompression:     true, // what the client and the service agreed on is theirs
		// HTTP/2 between machines next to each other costs throughput and gains nothing.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}}
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
	res, err := u.transport.RoundTrip(r)
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
