package crdsource

import (
	"cloakroom.dev/libs/resource/board"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	*board.Meter
	up     *prometheus.GaugeVec
	writes *prometheus.CounterVec
	leads  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		Meter: board.NewMeter(reg),
		up: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cloakroom_config_cluster_up",
			Help: "Whether a kind can be read from the API server; 0 means that what was read before is in force.",
		}, []string{"kind"}),
		writes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_config_status_writes_total",
			Help: "Statuses of objects by what was done: written, same (already there, nothing sent), error.",
		}, []string{"result"}),
		leads: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_config_status_leader",
			Help: "Whether this replica is the one that writes status.",
		}),
	}
}

func (m *metrics) troubles(kinds []*kind) {
	for _, k := range kinds {
		up := 1.0
		if k.trouble() != nil {
			up = 0
		}
		m.up.WithLabelValues(k.name).Set(up)
	}
}
