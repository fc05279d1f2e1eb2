package dir

import (
	"encoding/hex"
	"time"

	"cloakroom.dev/libs/resource"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	objects  *prometheus.GaugeVec
	reloads  *prometheus.CounterVec
	success  prometheus.Gauge
	lastTime prometheus.Gauge
	snapshot prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		objects: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cloakroom_config_objects",
			Help: "Resources by whether their present content is accepted.",
		}, []string{"state"}),
		reloads: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_config_reloads_total",
			Help: "Readings of a changed configuration: ok, rejected (some object refused), error (nothing could be read).",
		}, []string{"result"}),
		success: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_config_last_reload_success",
			Help: "Whether the last reading was accepted whole.",
		}),
		lastTime: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_config_last_reload_timestamp_seconds",
			Help: "When the configuration was last read and changed.",
		}),
		snapshot: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_config_snapshot",
			Help: "First 48 bits of the snapshot's digest as a number: replicas with the same value serve the same configuration.",
		}),
	}
}

func (m *metrics) applied(s *resource.Snapshot, accepted, rejected int, readable bool) {
	result := "ok"
	switch {
	case !readable:
		result = "error"
	case rejected > 0:
		result = "rejected"
	}
	m.reloads.WithLabelValues(result).Inc()
	m.objects.WithLabelValues("accepted").Set(float64(accepted))
	m.objects.WithLabelValues("rejected").Set(float64(rejected))
	m.success.Set(map[bool]float64{true: 1}[result == "ok"])
	m.lastTime.Set(float64(time.Now().UnixMilli()) / 1000)
	m.snapshot.Set(number(s.Short()))
}

func (m *metrics) failed() {
	m.reloads.WithLabelValues("error").Inc()
	m.success.Set(0)
}

// number fits twelve hex digits into a float without loss: 48 of its 53 bits.
func number(digits string) float64 {
	b, err := hex.DecodeString(digits)
	if err != nil {
		return 0
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return float64(n)
}
