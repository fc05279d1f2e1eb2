package picture

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/gate"
	"cloakroom.dev/libs/telemetry/metric"
)

// metrics is what the maker and its gate tell.
type metrics struct {
	made *prometheus.CounterVec
	work prometheus.Histogram
	gate gate.Metrics
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		gate: gate.Metrics{
			Memory: f.NewGauge(prometheus.GaugeOpts{
				Name: "cloakroom_files_thumbnail_running_bytes", Help: "Memory set aside for thumbnails that are being made.",
			}),
			Line: f.NewGauge(prometheus.GaugeOpts{
				Name: "cloakroom_files_thumbnail_queued", Help: "Thumbnails that wait for memory.",
			}),
			Refusals: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
				Name: "cloakroom_files_thumbnail_gate_refused_total",
				Help: "Thumbnails not begun: queue_full, waited_too_long, caller_left.",
			}, []string{"reason"}), "queue_full", "waited_too_long", "caller_left"),
			Waits: f.NewHistogram(prometheus.HistogramOpts{
				Name: "cloakroom_files_thumbnail_wait_seconds", Help: "Time a thumbnail waited for memory.",
				// From "no wait" over one picture to the longest wait we allow.
				Buckets: []float64{.001, .01, .05, .1, .25, .5, 1, 2.5, 5, 10},
			}),
		},
		made: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_thumbnails_total",
			Help: "Thumbnails asked for that no cache had, by result: ok, refused (no picture, too large, damaged), overloaded, error.",
		}, []string{"result"}), "ok", "refused", "overloaded", "error"),
		work: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_files_thumbnail_seconds", Help: "Time to make a thumbnail, without waiting.",
			// From an icon to 50 million pixels, up to the longest we allow.
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}),
	}
}

func (m *metrics) observe(ctx context.Context, began time.Time) {
	metric.Observe(ctx, m.work, time.Since(began))
}

func (m *metrics) count(err error) {
	result := "error"
	switch {
	case err == nil:
		result = "ok"
	case fault.KindOf(err) == fault.UnsupportedMediaType:
		result = "refused"
	case fault.KindOf(err) == fault.Overloaded:
		result = "overloaded"
	}
	m.made.WithLabelValues(result).Inc()
}
