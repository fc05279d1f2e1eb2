package httpapi

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// seats bounds what is packed at a time, by all and by one person: somebody who reads slowly keeps nobody else waiting.
type seats struct {
	what      string // as a refusal names it, in the plural
	all, each int
	again     time.Duration // when to come again
	inUse     prometheus.Gauge

	mu    sync.Mutex
	taken int
	by    map[files.OwnerID]int
}

// take takes a seat until leave is called. It returns fault.RateLimited when the person has as many as one may have, and
// fault.Overloaded when all are taken.
func (s *seats) take(who files.OwnerID) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.by[who] >= s.each:
		return nil, fault.Retry(fault.RateLimited, fmt.Sprintf("one person has at most %d %s packed at a time", s.each, s.what), s.again)
	case s.taken >= s.all:
		return nil, fault.Retry(fault.Overloaded, fmt.Sprintf("too many %s are being packed", s.what), s.again)
	}
	if s.by == nil {
		s.by = map[files.OwnerID]int{}
	}
	s.taken++
	s.by[who]++
	s.inUse.Inc()
	return func() { s.leave(who) }, nil
}

func (s *seats) leave(who files.OwnerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.by[who]--; s.by[who] == 0 {
		delete(s.by, who)
	}
	s.inUse.Dec()
}
