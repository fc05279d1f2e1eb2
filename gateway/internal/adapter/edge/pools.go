package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
)

// pools tells how the connections to the services are used. It asks when it is asked, so a request pays nothing for it.
type pools struct {
	of                                 []*Upstream
	open, idle, waiting, waits, failed *prometheus.Desc
}

func newPools(upstreams map[string]*Upstream) *pools {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("cloakroom_gateway_upstream_"+name, help, []string{"upstream"}, nil)
	}
	p := &pools{
		open:    describe("connections", "Connections to a service: in use, idle and being opened."),
		idle:    describe("connections_idle", "Connections to a service that wait for a request."),
		waiting: describe("waiting", "Requests that wait for a connection to a service, because it has as many as it may."),
		waits:   describe("waits_total", "Requests that had to wait for a connection to a service."),
		failed:  describe("waits_failed_total", "Requests that waited for a connection to a service and got none."),
	}
	for _, u := range upstreams {
		p.of = append(p.of, u)
	}
	return p
}

// Describe implements prometheus.Collector.
func (p *pools) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.open, p.idle, p.waiting, p.waits, p.failed} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (p *pools) Collect(out chan<- prometheus.Metric) {
	for _, u := range p.of {
		s := u.stats()
		gauge := func(d *prometheus.Desc, n int) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), u.name)
		}
		gauge(p.open, s.Open)
		gauge(p.idle, s.Idle)
		gauge(p.waiting, s.Waiting)
		out <- prometheus.MustNewConstMetric(p.waits, prometheus.CounterValue, float64(s.Waited), u.name)
		out <- prometheus.MustNewConstMetric(p.failed, prometheus.CounterValue, float64(s.GaveUp), u.name)
	}
}

// stats is how the upstream's connections are used.
func (u *Upstream) stats() upstream.Stats { return u.balancer.Stats() }
