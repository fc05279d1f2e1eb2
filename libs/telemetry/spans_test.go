package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/telemetry"
)

// spansOf ends n spans, and says how they are counted when all have been given up or sent; meanwhile runs before that.
func spansOf(t *testing.T, collector http.HandlerFunc, n int, meanwhile func()) map[string]float64 {
	t.Helper()
	server := httptest.NewServer(collector)
	defer server.Close()
	reg := prometheus.NewPedanticRegistry()
	p, stop, err := telemetry.NewTracing(t.Context(), telemetry.TracingOptions{Service: "test", Endpoint: server.URL, Ratio: 1, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	tracer := p.Tracer("test")
	for range n {
		_, span := tracer.Start(t.Context(), "x")
		span.End()
	}
	meanwhile()
	_ = stop(t.Context()) // what the collector refused is counted
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	return counts
}

func TestNewTracing_CountsWhatASlowCollectorCosts(t *testing.T) {
	const spans, queue = 10_000, 2048
	open := make(chan struct{})
	got := spansOf(t, func(http.ResponseWriter, *http.Request) { <-open }, spans, func() { close(open) })
	if got["ended"] != spans || got["sent"] < queue || got["sent"] > spans/2 || got["failed"] != 0 {
		t.Errorf("counted %v", got)
	}
}

func TestNewTracing_CountsWhatIsRefused(t *testing.T) {
	got := spansOf(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }, 10, func() {})
	if got["ended"] != 10 || got["sent"] != 0 || got["failed"] != 10 {
		t.Errorf("counted %v", got)
	}
}
