package metric_test

import (
	"math"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"cloakroom.dev/libs/telemetry/metric"
)

func TestNative_StandsBesideClassicBucketsAndStaysBounded(t *testing.T) {
	h := prometheus.NewHistogram(metric.Native(prometheus.HistogramOpts{Name: "x_seconds", Buckets: []float64{1, 10}}))
	const observations = 5000
	for i := range observations {
		h.Observe(math.Pow(1.01, float64(i%2000))) // over nine orders of magnitude: far more buckets than there may be
	}
	var m dto.Metric
	if err := h.Write(&m); err != nil {
		t.Fatal(err)
	}
	got := m.GetHistogram()
	if len(got.GetBucket()) != 2 || got.GetSampleCount() != observations {
		t.Errorf("classic buckets are %v of %d", got.GetBucket(), got.GetSampleCount())
	}
	native := 0
	for _, span := range got.GetPositiveSpan() {
		native += int(span.GetLength())
	}
	if native == 0 || native > 110 { // the bound, and the gaps that spans bridge
		t.Errorf("%d native buckets", native)
	}
}

func TestKnown_SeriesStandAtZeroBeforeTheyCount(t *testing.T) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x_total"}, []string{"result"})
	reg := prometheus.NewRegistry()
	reg.MustRegister(metric.Known(c, "ok", "error"))
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 2 {
		t.Fatalf("%v, %v", families, err)
	}
}
