package argon2

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/libs/gate"
	"cloakroom.dev/libs/telemetry/metric"
)

type metrics struct {
	gate    gate.Metrics
	helpers prometheus.Gauge
	work    prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		gate: gate.Metrics{
			Memory: f.NewGauge(prometheus.GaugeOpts{
				Name: "cloakroom_auth_hash_running_bytes", Help: "Memory taken by password hashes that run now.",
			}),
			Line: f.NewGauge(prometheus.GaugeOpts{
				Name: "cloakroom_auth_hash_queued", Help: "Password hashes that wait for memory.",
			}),
			Refusals: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
				Name: "cloakroom_auth_hash_refused_total",
				Help: "Password hashes not done: queue_full, waited_too_long, caller_left.",
			}, []string{"reason"}), "queue_full", "waited_too_long", "caller_left"),
			Waits: f.NewHistogram(metric.Native(prometheus.HistogramOpts{
				Name: "cloakroom_auth_hash_wait_seconds", Help: "Time a password hash waited for memory.",
				// From "no wait" over one hash (22 ms) to the longest wait we allow.
				Buckets: []float64{.001, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
			})),
		},
		helpers: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_auth_hash_helpers", Help: "Processes that hash passwords for this one, at work or waiting for work.",
		}),
		work: f.NewHistogram(metric.Native(prometheus.HistogramOpts{
			Name: "cloakroom_auth_hash_seconds", Help: "Time one password hash took, without waiting.",
			// Around the 22 ms the default parameters cost, up to stricter policies on slow machines.
			Buckets: []float64{.01, .02, .03, .05, .1, .2, .4, .8, 1.6},
		})),
	}
}
