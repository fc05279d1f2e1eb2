package upstream

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of one upstream.
type metrics struct {
	busy, down        prometheus.Counter
	resent, exhausted prometheus.Counter
	ejections         prometheus.Counter
	checks            [conditions]prometheus.Counter
}

func newMetrics(b *Balancer, reg prometheus.Registerer) *metrics {
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"upstream": b.opts.Name}, reg)
	}
	f := promauto.With(reg)
	refused := f.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_gateway_upstream_refused_total",
		Help: "Requests answered 503 without being sent: busy, the bound on requests was reached; down, no address answers.",
	}, []string{"reason"})
	retries := f.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_gateway_upstream_retries_total",
		Help: "Requests that could be sent again to another address: sent, or exhausted when the budget had nothing left.",
	}, []string{"result"})
	checks := f.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_gateway_upstream_health_checks_total",
		Help: "Times an address was asked whether it is ready, by what it said: up, unready, or down for nothing.",
	}, []string{"said"})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_gateway_upstream_requests", Help: "Requests that are with the upstream now.",
	}, func() float64 { return float64(b.inFlight.Load()) })
	f.NewGauge(prometheus.GaugeOpts{
		Name: "cloakroom_gateway_upstream_requests_limit", Help: "The most requests at once; 0 is no bound.",
	}).Set(float64(b.opts.MaxRequests))
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_gateway_upstream_retry_budget", Help: "Retries there could be now.",
	}, func() float64 { return float64(b.budget.balance(time.Now())) })
	for _, s := range []string{"up", "unready", "down", "ejected"} {
		f.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_upstream_addresses", Help: "Addresses by how they are; one not asked yet counts as up.",
			ConstLabels: prometheus.Labels{"state": s},
		}, func() float64 { return float64(b.count(s)) })
	}
	m := &metrics{
		busy: refused.WithLabelValues("busy"), down: refused.WithLabelValues("down"),
		resent: retries.WithLabelValues("sent"), exhausted: retries.WithLabelValues("exhausted"),
		ejections: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_gateway_upstream_ejections_total", Help: "Times an address was taken out of use because requests to it failed.",
		}),
	}
	for _, s := range []condition{isUp, isUnready, isDown} {
		m.checks[s] = checks.WithLabelValues(s.String())
	}
	return m
}

func (m *metrics) checked(said condition) { m.checks[said].Inc() }

// Status is how one address is.
type Status struct {
	Address  string `json:"address"`
	State    string `json:"state"` // up, unready, down or ejected
	InFlight int64  `json:"in_flight"`
	Failures int32  `json:"failures_in_a_row"`
}

// Status tells of every address, in the order they are configured.
func (b *Balancer) Status() []Status {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Status, len(b.all))
	for i, e := range b.all {
		list[i] = Status{e.base.String(), e.state(now), e.inFlight.Load(), e.failures.Load()}
	}
	return list
}

func (e *endpoint) state(now time.Time) string {
	switch {
	case !e.health.well():
		return e.health.String()
	case e.ejected.at(now):
		return "ejected"
	default:
		return isUp.String()
	}
}

func (b *Balancer) count(state string) int {
	n := 0
	for _, s := range b.Status() {
		if s.State == state {
			n++
		}
	}
	return n
}

// Stats is how the connections to all addresses are used.
func (b *Balancer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := b.past
	for _, e := range b.all {
		s := e.conn.Stats()
		sum.Open, sum.Idle, sum.Waiting = sum.Open+s.Open, sum.Idle+s.Idle, sum.Waiting+s.Waiting
		sum.Waited, sum.GaveUp = sum.Waited+s.Waited, sum.GaveUp+s.GaveUp
	}
	return sum
}
