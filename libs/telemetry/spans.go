package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"cloakroom.dev/libs/telemetry/metric"
)

// spanCounts counts spans on their way out, so that those the full queue dropped can be seen: the queue itself tells nobody.
type spanCounts struct{ ended, sent, failed prometheus.Counter }

func newSpanCounts(reg prometheus.Registerer) spanCounts {
	spans := metric.Known(promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_spans_total",
		Help: "Spans of kept traces: ended here, sent to the collector, and failed to be sent. What ended and is neither waits, 2048 at most, or was dropped since as many waited.",
	}, []string{"state"}), "ended", "sent", "failed")
	return spanCounts{spans.WithLabelValues("ended"), spans.WithLabelValues("sent"), spans.WithLabelValues("failed")}
}

// OnStart implements sdktrace.SpanProcessor.
func (c spanCounts) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (c spanCounts) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		c.ended.Inc()
	}
}

// Shutdown implements sdktrace.SpanProcessor.
func (c spanCounts) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (c spanCounts) ForceFlush(context.Context) error { return nil }

// countedExporter counts what an exporter sends.
type countedExporter struct {
	sdktrace.SpanExporter
	counts spanCounts
}

// ExportSpans implements sdktrace.SpanExporter.
func (e countedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		e.counts.failed.Add(float64(len(spans)))
		return err
	}
	e.counts.sent.Add(float64(len(spans)))
	return nil
}
