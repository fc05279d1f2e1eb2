package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/libs/telemetry/metric"
)

// metrics are what the store costs and how it behaves.
type metrics struct {
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	resumed  prometheus.Counter
	proofs   *prometheus.CounterVec
	madeRoom *prometheus.CounterVec
	trusting prometheus.Gauge
	inFlight prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, pool *buffers) *metrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_files_s3_buffers_in_use", Help: "Part buffers that hold bytes on their way to the store.",
	}, func() float64 { return float64(pool.inUse()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_files_s3_buffers_max", Help: "Part buffers there may be; who finds none waits, and is then refused.",
	}, func() float64 { return float64(cap(pool.tokens)) })
	f.NewCounterFunc(prometheus.CounterOpts{
		Name: "cloakroom_files_s3_buffers_refused_total", Help: "Uploads answered 503 because no part buffer came free in time.",
	}, func() float64 { return float64(pool.refused.Load()) })
	return &metrics{
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_files_s3_calls_in_flight",
			Help: fmt.Sprintf("Calls to the store, and answers of it that are still read; %d connections serve them, of which %d are for calls that take long. Others wait.", maxConnections, maxPatient),
		}),
		calls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_s3_calls_total", Help: "Calls to the store, tries included in one: ok, absent, refused, unavailable, cancelled.",
		}, []string{"operation", "result"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cloakroom_files_s3_call_seconds", Help: "How long calls to the store took; of GetObject until the first byte.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"operation"}),
		resumed: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_files_s3_reads_resumed_total", Help: "Reads that broke off and went on where they were.",
		}),
		proofs: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_s3_proofs_total", Help: "How written bytes were proven: checksum (the store's), read_back, or failed.",
		}, []string{"by"}),
		madeRoom: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_s3_buffers_reclaimed_total",
			Help: "Part buffers taken from uploads that were slow while others waited: saved (resumable ones go on) or refused (503).",
		}, []string{"how"}), "saved", "refused"),
		trusting: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_files_s3_checksums_trusted", Help: "1 when the store has shown that it refuses wrong checksums; 0: what is written is read back.",
		}),
	}
}

func (m *metrics) called(ctx context.Context, operation string, began time.Time, err error) {
	metric.Observe(ctx, m.seconds.WithLabelValues(operation), time.Since(began))
	result := "unavailable"
	switch {
	case err == nil:
		result = "ok"
	case errors.Is(err, context.Canceled):
		result = "cancelled"
	case isAbsent(err):
		result = "absent"
	case statusOf(err) >= 400 && statusOf(err) < 500:
		result = "refused"
	}
	m.calls.WithLabelValues(operation, result).Inc()
}
