package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"cloakroom.dev/libs/telemetry/metric"
)

// otherMethod stands for every method outside the closed set, as OpenTelemetry's HTTP conventions have it.
const otherMethod = "_OTHER"

type metrics struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, listener string) *metrics {
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"listener": listener}, reg)
	}
	f := promauto.With(reg)
	return &metrics{
		duration: f.NewHistogramVec(metric.Native(prometheus.HistogramOpts{
			Name: "cloakroom_http_request_duration_seconds", Help: "Time from the request's head to the end of its answer.",
			// The buckets of OpenTelemetry's http.server.request.duration, so that dashboards written for it fit.
			Buckets: []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10},
		}), []string{"route", "method", "code"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_http_requests_in_flight", Help: "Requests being served.",
		}),
		panics: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_http_panics_total", Help: "Handlers that panicked.",
		}),
	}
}

func (m *metrics) observe(route, method string, status int, took time.Duration, span trace.Span) {
	m.inFlight.Dec()
	metric.ObserveOf(span.SpanContext(), m.duration.WithLabelValues(route, knownMethod(method), strconv.Itoa(status)), took)
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return m
	default:
		return otherMethod
	}
}

// tracer makes server spans, and nothing at all when there is no provider: a span a request is the dearest part of a
// lean path.
type tracer struct {
	tracer    trace.Tracer
	strangers bool // a caller's trace is linked and not continued: strangers choose neither ids nor what is sampled
}

var propagator = propagation.TraceContext{}

func newTracer(p trace.TracerProvider, strangers bool) tracer {
	if p == nil {
		return tracer{}
	}
	if _, off := p.(noop.TracerProvider); off {
		return tracer{}
	}
	return tracer{p.Tracer("cloakroom.dev/libs/web"), strangers}
}

func (t tracer) start(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, noop.Span{}
	}
	caller := propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
	if !t.strangers {
		return t.tracer.Start(caller, knownMethod(r.Method), trace.WithSpanKind(trace.SpanKindServer))
	}
	return t.tracer.Start(ctx, knownMethod(r.Method), trace.WithSpanKind(trace.SpanKindServer), trace.WithLinks(trace.LinkFromContext(caller)))
}

// PassOn names the request of ctx, its id and its trace, to another of the services that is asked on its behalf.
func PassOn(ctx context.Context, h http.Header) {
	h.Set("X-Request-Id", RequestID(ctx))
	propagator.Inject(ctx, propagation.HeaderCarrier(h))
}

func (t tracer) end(span trace.Span, route, method string, status int) {
	if t.tracer == nil {
		return
	}
	span.SetName(knownMethod(method) + " " + route)
	span.SetAttributes(
		attribute.String("http.request.method", knownMethod(method)),
		attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status),
	)
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
