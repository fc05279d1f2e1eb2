package limitmem

import (
	"cloakroom.dev/gateway/internal/routing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	keys      prometheus.Gauge
	evictions prometheus.Counter
	taken     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	with := promauto.With(reg)
	return &metrics{
		keys: with.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_limiter_keys",
			Help: "Keys the rate limiter remembers, over all rules.",
		}),
		evictions: with.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_gateway_limiter_evictions_total",
			Help: "Keys in debt that made room for new ones. Above zero a flood of keys is going on, or the limiter is too small.",
		}),
		// The rules are the operator's, so their number is bounded by what people write; those of rules that are gone go too (Use).
		taken: with.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_gateway_limit_decisions_total",
			Help: "What each rule said to requests: pass, refuse, or shadow_refuse, which refuses nobody.",
		}, []string{"rule", "result"}),
	}
}

// decisions are the counters of one rule, looked up once.
type decisions struct{ pass, refuse, shadowRefuse prometheus.Counter }

func (m *metrics) of(label string) decisions {
	return decisions{
		pass:         m.taken.WithLabelValues(label, "pass"),
		refuse:       m.taken.WithLabelValues(label, "refuse"),
		shadowRefuse: m.taken.WithLabelValues(label, "shadow_refuse"),
	}
}

func (d decisions) count(shadow, allowed bool) {
	switch {
	case allowed:
		d.pass.Inc()
	case shadow:
		d.shadowRefuse.Inc()
	default:
		d.refuse.Inc()
	}
}

// Tally counts verdicts that another limiter has given on charges, as Take counts its own.
func (l *Limiter) Tally(charges []routing.Charge, verdicts []routing.Verdict) {
	for i, c := range charges {
		l.state(c.Rule).decisions.count(c.Rule.Shadow, verdicts[i].Allowed)
	}
}
