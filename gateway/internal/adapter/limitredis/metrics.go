package limitredis

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"cloakroom.dev/libs/telemetry/metric"
)

type metrics struct {
	up, replicas      prometheus.Gauge
	shared            prometheus.Counter
	ok, late, refused prometheus.Counter
	seconds           prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, connections func() int) *metrics {
	with := promauto.With(reg)
	calls := with.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_gateway_limiter_store_calls_total",
		Help: "Calls to the rate limit store: ok, late (no answer in time, or no connection free), error.",
	}, []string{"result"})
	with.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_gateway_limiter_store_connections",
		Help: "Connections to the rate limit store.",
	}, func() float64 { return float64(connections()) })
	return &metrics{
		up: with.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_limiter_store_up",
			Help: "1 while the rate limit store is relied on, 0 while it is lost and this gateway enforces its share of each limit.",
		}),
		replicas: with.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_limiter_replicas",
			Help: "Gateways that limits are divided by while the store is lost.",
		}),
		shared: with.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_gateway_limiter_share_decisions_total",
			Help: "Requests decided by this gateway's share of the limits because the store did not.",
		}),
		ok: calls.WithLabelValues("ok"), late: calls.WithLabelValues("late"), refused: calls.WithLabelValues("error"),
		seconds: with.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_gateway_limiter_store_seconds",
			Help: "Time to the rate limit store's answer, or to giving up.",
			// From a neighbour's answer to the longest timeout that can be configured.
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, 1},
		}),
	}
}

func (m *metrics) asked(ctx context.Context, err error, took time.Duration) {
	metric.Observe(ctx, m.seconds, took)
	var timeout net.Error
	switch {
	case err == nil:
		m.ok.Inc()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout), errors.As(err, &timeout) && timeout.Timeout():
		m.late.Inc()
	default:
		m.refused.Inc()
	}
}
