package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/libs/telemetry/metric"
)

type metrics struct {
	repeated     prometheus.Counter
	refused      prometheus.Counter
	listenerLost prometheus.Counter
	seconds      *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, name string, pool *pgxpool.Pool) *metrics {
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"db": name}, reg)
	}
	f := promauto.With(reg)
	gauge := func(what, help string, value func(*pgxpool.Stat) float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "cloakroom_postgres_" + what, Help: help},
			func() float64 { return value(pool.Stat()) })
	}
	counter := func(what, help string, value func(*pgxpool.Stat) float64) {
		f.NewCounterFunc(prometheus.CounterOpts{Name: "cloakroom_postgres_" + what, Help: help},
			func() float64 { return value(pool.Stat()) })
	}
	gauge("connections_max", "Connections there may be.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) })
	gauge("connections_open", "Connections there are.", func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) })
	gauge("connections_busy", "Connections in use.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) })
	counter("acquire_waits_total", "Transactions that had to wait for a connection.", func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) })
	counter("acquire_wait_seconds_total", "Time they waited.", func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() })
	counter("connections_opened_total", "Connections opened so far.", func(s *pgxpool.Stat) float64 { return float64(s.NewConnsCount()) })
	return &metrics{
		seconds: f.NewHistogramVec(metric.Native(prometheus.HistogramOpts{
			Name:    "cloakroom_postgres_transaction_seconds",
			Help:    "Time of a transaction from asking for a connection to its commit or its failure, repeats and all: write, read.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}, // from a round trip next door to TxTimeout
		}), []string{"kind"}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_postgres_acquire_refused_total", Help: "Transactions that got no connection in time.",
		}),
		repeated: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_postgres_repeated_total", Help: "Transactions run again after a deadlock, a conflict or a broken connection.",
		}),
		listenerLost: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_postgres_listener_lost_total", Help: "Times that a listener for notifications lost its connection.",
		}),
	}
}
