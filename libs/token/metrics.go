package token

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// register adds c to reg, or returns the equal collector that is there already: a verifier is made anew when its policy
// changes, and goes on counting where the old one stopped. Like promauto it panics when two different metrics share a
// name, which is a fault in the program.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	if err != nil {
		panic(err)
	}
	return c
}

// registerFunc adds a gauge that is read when scraped. It takes the place of an older one, whose owner is gone.
func registerFunc(reg prometheus.Registerer, opts prometheus.GaugeOpts, read func() float64) {
	if reg == nil {
		return
	}
	g := prometheus.NewGaugeFunc(opts, read)
	reg.Unregister(g)
	reg.MustRegister(g)
}

func counter(reg prometheus.Registerer, name, help string) prometheus.Counter {
	return register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

func counterVec(reg prometheus.Registerer, name, help string, labels ...string) *prometheus.CounterVec {
	return register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}
