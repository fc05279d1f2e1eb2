package apikey

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// name stands for a key without being one.
type name [sha256.Size]byte

// memory is a bounded map whose entries end.
type memory struct {
	mu      sync.Mutex
	size    int
	entries map[name]entry
}

type entry struct {
	token string
	until time.Time
}

func newMemory(size int) *memory { return &memory{size: size, entries: map[name]entry{}} }

func (m *memory) get(n name, now time.Time) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[n]
	if ok && !e.until.After(now) {
		delete(m.entries, n)
		return "", false
	}
	return e.token, ok
}

// put remembers; when there is no room, what has ended goes first, and then whatever the map yields.
func (m *memory) put(n name, token string, now, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.entries[n]; !known && len(m.entries) >= m.size {
		m.makeRoom(now)
	}
	m.entries[n] = entry{token, until}
}

// sweepAtMost bounds what one put spends on looking for ended entries.
const sweepAtMost = 64

func (m *memory) makeRoom(now time.Time) {
	looked := 0
	var victim name
	for n, e := range m.entries {
		if !e.until.After(now) {
			delete(m.entries, n)
			continue
		}
		if victim = n; looked == sweepAtMost {
			break
		}
		looked++
	}
	if len(m.entries) >= m.size {
		delete(m.entries, victim)
	}
}

func (m *memory) drop(n name) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, n)
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

type metrics struct{ hits, exchanged, refused, busy, failed prometheus.Counter }

func newMetrics(reg prometheus.Registerer, tokens *memory) *metrics {
	f := promauto.With(reg)
	results := f.NewCounterVec(prometheus.CounterOpts{
		Name: "cloakroom_gateway_api_keys_total",
		Help: "API keys shown, by what became of them: remembered, exchanged, refused, busy (64 others are asked about), failed.",
	}, []string{"result"})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_gateway_api_key_cache_entries", Help: "API keys whose short token is remembered.",
	}, func() float64 { return float64(tokens.len()) })
	return &metrics{
		hits: results.WithLabelValues("remembered"), exchanged: results.WithLabelValues("exchanged"),
		refused: results.WithLabelValues("refused"), failed: results.WithLabelValues("failed"),
		busy: results.WithLabelValues("busy"),
	}
}
