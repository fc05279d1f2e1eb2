package metric

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Observe adds a time to a histogram. Of a request whose trace is kept it adds the trace's id, as an exemplar: from a slow bucket one
// click leads to what was slow. Scrapers get exemplars who ask for OpenMetrics or for Prometheus' binary format.
func Observe(ctx context.Context, o prometheus.Observer, took time.Duration) {
	ObserveOf(trace.SpanContextFromContext(ctx), o, took)
}

// ObserveOf is Observe for who has the span and no context that holds it.
func ObserveOf(span trace.SpanContext, o prometheus.Observer, took time.Duration) {
	if span.IsSampled() {
		if e, ok := o.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": span.TraceID().String()})
			return
		}
	}
	o.Observe(took.Seconds())
}
