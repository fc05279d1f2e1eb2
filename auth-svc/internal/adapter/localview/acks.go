package localview

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/libs/telemetry/metric"
)

// remembered is how many commits are kept: acknowledgements come within milliseconds, so what is older is of a
// follower that was away, and says nothing of how fast the word spreads.
const remembered = 1024

// ackTimes measures how long the word of a revocation takes to be applied elsewhere.
type ackTimes struct {
	mu      sync.Mutex
	ring    [remembered]struct{ seq, nanos int64 }
	spread  prometheus.Histogram
	started time.Time
}

func newAckTimes(reg prometheus.Registerer) *ackTimes {
	return &ackTimes{started: time.Now(), spread: promauto.With(reg).NewHistogram(metric.Native(prometheus.HistogramOpts{
		Name: "cloakroom_auth_revocation_ack_seconds",
		Help: "Time from the commit of a revocation to a follower's word that it refuses the credential.",
		// Around the promise: 10 ms on one machine, 100 ms in a zone.
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
	}))}
}

func (a *ackTimes) committed(seq int64, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	slot := &a.ring[seq%remembered]
	slot.seq, slot.nanos = seq, int64(at.Sub(a.started))
}

// Acked notes that a follower has applied the log up to seq.
func (s *Store) Acked(seq int64) {
	now := time.Now()
	s.acks.mu.Lock()
	slot := s.acks.ring[max(0, seq)%remembered]
	s.acks.mu.Unlock()
	if slot.seq == seq && seq > 0 {
		s.acks.spread.Observe(max(0, now.Sub(s.acks.started)-time.Duration(slot.nanos)).Seconds())
	}
}
