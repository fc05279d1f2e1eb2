package metric_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/libs/telemetry/metric"
)

func TestObserve_NamesTheTraceThatIsKept(t *testing.T) {
	span := trace.SpanContextConfig{TraceID: trace.TraceID{1: 0xab}, SpanID: trace.SpanID{1}}
	for name, c := range map[string]struct {
		flags trace.TraceFlags
		want  string
	}{
		"kept":         {trace.FlagsSampled, "00ab0000000000000000000000000000"},
		"of no record": {0, ""},
	} {
		span.TraceFlags = c.flags
		h := prometheus.NewHistogram(metric.Native(prometheus.HistogramOpts{Name: "x_seconds", Buckets: []float64{1, 10}}))
		metric.Observe(trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(span)), h, 2*time.Second)
		var m dto.Metric
		if err := h.Write(&m); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, l := range m.GetHistogram().GetBucket()[1].GetExemplar().GetLabel() {
			got += l.GetValue()
		}
		if got != c.want || m.GetHistogram().GetSampleSum() != 2 {
			t.Errorf("%s: %q, sum %v", name, got, m.GetHistogram().GetSampleSum())
		}
	}
}
