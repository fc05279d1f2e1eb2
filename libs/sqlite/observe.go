package sqlite

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

type metrics struct {
	factory promauto.Factory
	group   prometheus.Histogram
	seconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, name string) *metrics {
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"db": name}, reg)
	}
	f := promauto.With(reg)
	return &metrics{
		factory: f,
		group: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_sqlite_commit_writes", Help: "Writes that shared one commit.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, maxGroup}, // powers of two up to the bound
		}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_sqlite_commit_seconds", Help: "Time from begin to durable commit.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1}, // an fsync is 0.5 to 25 ms
		}),
	}
}

func (m *metrics) observeQueue(length func() float64) {
	m.factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_sqlite_queued_writes", Help: "Writes that wait for the writer, of at most 1024.",
	}, length)
}

func (m *metrics) committed(writes int, took time.Duration) {
	m.group.Observe(float64(writes))
	m.seconds.Observe(took.Seconds())
}

type tracing struct {
	tracer trace.Tracer
	attrs  trace.SpanStartEventOption
}

func newTracing(p trace.TracerProvider, name string) tracing {
	if p == nil {
		p = noop.NewTracerProvider()
	}
	return tracing{
		tracer: p.Tracer("cloakroom.dev/libs/sqlite"),
		attrs:  trace.WithAttributes(attribute.String("db.system.name", "sqlite"), attribute.String("db.namespace", name)),
	}
}

var noEnd = func(error) {}

// start opens a span below the caller's, and costs nothing when the caller's is not recorded.
func (t tracing) start(ctx context.Context, name string, more ...trace.SpanStartOption) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, noEnd
	}
	opts := append([]trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), t.attrs}, more...)
	ctx, span := t.tracer.Start(ctx, name, opts...)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// statement is named for its verb; the text is a constant of the code and holds no values.
func (t tracing) statement(ctx context.Context, query string) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, noEnd
	}
	verb, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	return t.start(ctx, verb, trace.WithAttributes(attribute.String("db.query.text", strings.Join(strings.Fields(query), " "))))
}
