package board

import (
	"encoding/hex"
	"time"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/telemetry/metric"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Meter counts readings and what they brought.
type Meter struct {
	objects  *prometheus.GaugeVec
	reloads  *prometheus.CounterVec
	success  prometheus.Gauge
	lastTime prometheus.Gauge
	snapshot prometheus.Gauge
}

// NewMeter registers the metrics of one source; reg may be nil.
func NewMeter(reg prometheus.Registerer) *Meter {
	f := promauto.With(reg)
	return &Meter{
		objects: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cloakroom_config_objects",
			Help: "Resources by whether their present content is accepted.",
		}, []string{"state"}),
		reloads: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_config_reloads_total",
			Help: "Readings of a changed configuration: ok, rejected (some object refused), error (nothing could be read).",
		}, []string{"result"}), "ok", "rejected", "error"),
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

// Applied counts a reading that was taken: the snapshot it made, and how many objects are accepted and refused. readable is
// false when it brought nothing, so that the snapshot is the one from before.
func (m *Meter) Applied(s *resource.Snapshot, accepted, rejected int, readable bool) {
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
	m.snapshot.Set(Number(s))
}

// Failed counts a reading that could not be taken at all.
func (m *Meter) Failed() {
	m.reloads.WithLabelValues("error").Inc()
	m.success.Set(0)
}

// Number is the snapshot's digest as the metric tells it: twelve hex digits fit into a float without loss, 48 of its 53 bits.
func Number(s *resource.Snapshot) float64 {
	b, err := hex.DecodeString(s.Short())
	if err != nil {
		return 0
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return float64(n)
}
