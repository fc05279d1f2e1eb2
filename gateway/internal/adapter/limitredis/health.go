package limitredis

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A miss weighs as much as missWeight good answers. Three misses in a row, or more than one in five for long, lose
	// the store.
	missWeight = 4
	missLimit  = 3 * missWeight
	// returnsAfter is how many good answers in a row bring it back.
	returnsAfter = 3
	// A store that is lost again within relapse after its return has to wait longer for the next, up to maxPatience.
	relapse     = 10 * time.Second
	maxPatience = 5 * time.Second
)

// health knows whether the store can be relied on.
type health struct {
	log      *slog.Logger
	metrics  *metrics
	gateways func() int
	turned   chan struct{} // has a value when the store was just lost

	gone   atomic.Bool
	misses atomic.Int64 // weighed

	mu      sync.Mutex
	good    int       // answers in a row while lost
	since   time.Time // of the last turn, either way
	waiting time.Duration
}

func newHealth(log *slog.Logger, m *metrics, gateways func() int) *health {
	m.up.Set(1)
	return &health{log: log, metrics: m, gateways: gateways, turned: make(chan struct{}, 1), since: time.Now()}
}

// lost reports whether requests must do without the store.
func (h *health) lost() bool { return h.gone.Load() }

// note takes the outcome of a call.
func (h *health) note(err error) {
	switch {
	case h.gone.Load():
		h.noteLost(err)
	case err == nil:
		if h.misses.Load() > 0 {
			h.misses.Add(-1)
		}
	case h.misses.Add(missWeight) >= missLimit:
		h.lose(err)
	}
}

func (h *health) lose(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone.Load() {
		return
	}
	if time.Since(h.since) < relapse {
		h.waiting = min(2*max(h.waiting, probeEvery), maxPatience)
	} else {
		h.waiting = 0
	}
	h.good, h.since = 0, time.Now()
	h.gone.Store(true)
	h.metrics.up.Set(0)
	h.log.Warn("rate limit store lost, this gateway enforces its share of each limit", "error", err.Error(), "gateways", h.gateways())
	select {
	case h.turned <- struct{}{}:
	default:
	}
}

// noteLost counts the answers of a store that is lost; calls that had begun before count as well.
func (h *health) noteLost(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.gone.Load() {
		return
	}
	if err != nil {
		h.good = 0
		return
	}
	if h.good++; h.good < returnsAfter || time.Since(h.since) < h.waiting {
		return
	}
	h.misses.Store(0)
	h.gone.Store(false)
	h.metrics.up.Set(1)
	h.log.Info("rate limit store back, limits are shared again", "lost_ms", time.Since(h.since).Milliseconds())
	h.since = time.Now()
}

// patience is how long to wait before the store is tried again.
func (h *health) patience(usual time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.good > 0 {
		return usual / 4
	}
	return usual
}

// steadyFor is how long the store has been relied on without a loss.
func (h *health) steadyFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone.Load() {
		return 0
	}
	return time.Since(h.since)
}
