package argon2

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	running prometheus.Gauge
	helpers prometheus.Gauge
	queued  prometheus.Gauge
	refused *prometheus.CounterVec
	wait    prometheus.Histogram
	work    prometheus.Histogram
}

// Used implements gate.Meter.
func (m *metrics) Used(bytes int64) { m.running.Set(float64(bytes)) }

// Queued implements gate.Meter.
func (m *metrics) Queued(callers int) { m.queued.Set(float64(callers)) }

// Refused implements gate.Meter.
func (m *metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// Waited implements gate.Meter.
func (m *metrics) Waited(waited time.Duration) { m.wait.Observe(waited.Seconds()) }

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		running: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_auth_hash_running_bytes", Help: "Memory taken by password hashes that run now.",
		}),
		helpers: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_auth_hash_helpers", Help: "Processes that hash passwords for this one, at work or waiting for work.",
		}),
		queued: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_auth_hash_queued", Help: "Password hashes that wait for memory.",
		}),
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_auth_hash_refused_total",
			Help: "Password hashes not done: queue_full, waited_too_long, caller_left.",
		}, []string{"reason"}),
		wait: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_auth_hash_wait_seconds", Help: "Time a password hash waited for memory.",
			// From "no wait" over one hash (22 ms) to the longest wait we allow.
			Buckets: []float64{.001, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		work: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_auth_hash_seconds", Help: "Time one password hash took, without waiting.",
			// Around the 22 ms the default parameters cost, up to stricter policies on slow machines.
			Buckets: []float64{.01, .02, .03, .05, .1, .2, .4, .8, 1.6},
		}),
	}
}
