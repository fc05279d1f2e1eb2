package edge

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/telemetry/metric"
)

// metrics of the edge, beside the rate, errors and duration by route that web.Edge keeps.
type metrics struct {
	refusals *prometheus.CounterVec
	crowded  prometheus.Counter
	open     prometheus.Gauge
	most     prometheus.Gauge
	parked   prometheus.Gauge
	tunnels  prometheus.Gauge
	errors   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_gateway_large_buffers", Help: "Buffers of 256 KiB that copy answers, of at most 64; answers beyond them are copied through small ones.",
	}, func() float64 { return float64(buffers.largeOut()) })
	return &metrics{
		refusals: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_gateway_malformed_requests_total",
			Help: "Requests refused before they were routed, by what was wrong with them.",
		}, []string{"reason"}),
		crowded: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_gateway_connections_refused_total",
			Help: "Connections closed at once because their address had as many as it may.",
		}),
		open: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_connections", Help: "Connections of clients that are open; at most limits.maxConnections.",
		}),
		most: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_connections_max", Help: "limits.maxConnections: further connections wait in the system's queue.",
		}),
		parked: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_connections_parked", Help: "Of the open connections, those that wait for their next request at next to no cost.",
		}),
		tunnels: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_tunnels", Help: "Upgraded connections that are open.",
		}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_gateway_upstream_errors_total",
			Help: "Exchanges with a service that failed, by kind: dial, timeout, broken, revoked.",
		}, []string{"upstream", "kind"}),
		seconds: f.NewHistogramVec(metric.Native(prometheus.HistogramOpts{
			Name: "cloakroom_gateway_upstream_seconds",
			Help: "Time from sending a request to a service to the beginning of its answer.",
			// Finer than web.Edge's below 5 ms: what a service next door needs is what the gateway's own share is judged by.
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}), []string{"upstream"}),
	}
}

// Crowded counts a connection that was one too many of its address.
func (e *Edge) Crowded() { e.metrics.crowded.Inc() }

// Connections are how many clients' connections are open, and how many of them are parked.
func (e *Edge) Connections() (open, parked prometheus.Gauge) { return e.metrics.open, e.metrics.parked }

// ConnectionsAtMost tells the bound of those that are open.
func (e *Edge) ConnectionsAtMost(n int) { e.metrics.most.Set(float64(n)) }

func (m *metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

// upstreamMetrics are the counters of one service, looked up once.
type upstreamMetrics struct {
	dial, timeout, broken, revoked prometheus.Counter
	seconds                        prometheus.Observer
}

func (m *metrics) upstream(name string) *upstreamMetrics {
	return &upstreamMetrics{
		dial:    m.errors.WithLabelValues(name, "dial"),
		timeout: m.errors.WithLabelValues(name, "timeout"),
		broken:  m.errors.WithLabelValues(name, "broken"),
		revoked: m.errors.WithLabelValues(name, "revoked"),
		seconds: m.seconds.WithLabelValues(name),
	}
}

// ended counts an exchange that the gateway itself cut.
func (m *upstreamMetrics) ended(f *fault.Error) {
	if f.Kind == fault.UpstreamTimeout {
		m.timeout.Inc()
		return
	}
	m.revoked.Inc()
}
