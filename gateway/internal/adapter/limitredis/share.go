package limitredis

import (
	"sync/atomic"
	"time"

	"cloakroom.dev/gateway/internal/routing"
)

const (
	// memberLife is how long a gateway counts after it was last heard of.
	memberLife = 15 * time.Second
	// unheardReplicas is the number of gateways while neither the operator nor the store has told it. One would be no
	// reason to share a store.
	unheardReplicas = 2
)

// members is how many gateways share the store.
type members struct {
	fixed int // what the operator said; 0 leaves it to the store
	known atomic.Int64
}

// heard takes the store's count. A smaller one is believed only when the store has been there for as long as a gateway may
// keep silent: one that has just come back empty has not heard of everybody.
func (m *members) heard(n int, steady time.Duration) {
	if int64(n) >= m.known.Load() || steady > memberLife {
		m.known.Store(int64(n))
	}
}

func (m *members) count() int {
	switch known := int(m.known.Load()); {
	case m.fixed > 0:
		return m.fixed
	case known > 0:
		return known
	default:
		return unheardReplicas
	}
}

// shares are the charges by rules divided by the number of gateways: the same limit in a window that many times as long,
// which is exact, and that part of the burst, at least one request.
func shares(charges []routing.Charge, gateways int) []routing.Charge {
	rules, parts := make([]routing.LimitRule, len(charges)), make([]routing.Charge, len(charges))
	for i, c := range charges {
		rules[i] = *c.Rule
		rules[i].Window *= time.Duration(gateways)
		rules[i].Burst = max(1, c.Rule.Burst/int64(gateways))
		parts[i] = routing.Charge{Rule: &rules[i], Key: c.Key}
	}
	return parts
}
