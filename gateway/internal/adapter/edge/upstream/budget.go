package upstream

import (
	"sync"
	"time"
)

// Budget bounds retries: a share of the requests of the last ten seconds, and a few however few there are.
type Budget struct {
	Percent      int
	MinPerSecond int
}

const budgetSeconds = 10

// budget counts requests and retries by the second.
type budget struct {
	opts Budget
	mu   sync.Mutex
	ring [budgetSeconds]struct{ second, requests, retries int64 }
}

func newBudget(opts Budget) *budget { return &budget{opts: opts} }

// deposit notes a request.
func (b *budget) deposit(now time.Time) {
	second := now.Unix()
	b.mu.Lock()
	b.slot(second).requests++
	b.mu.Unlock()
}

// withdraw notes a retry, or returns false when there is nothing left for it.
func (b *budget) withdraw(now time.Time) bool {
	second := now.Unix()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left(second) < 1 {
		return false
	}
	b.slot(second).retries++
	return true
}

// balance is how many retries there could be now.
func (b *budget) balance(now time.Time) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left(now.Unix())
}

func (b *budget) left(second int64) int64 {
	var requests, retries int64
	for i := range b.ring {
		if s := &b.ring[i]; s.second > second-budgetSeconds && s.second <= second {
			requests += s.requests
			retries += s.retries
		}
	}
	return requests*int64(b.opts.Percent)/100 + int64(b.opts.MinPerSecond)*budgetSeconds - retries
}

func (b *budget) slot(second int64) *struct{ second, requests, retries int64 } {
	s := &b.ring[second%budgetSeconds]
	if s.second != second {
		s.second, s.requests, s.retries = second, 0, 0
	}
	return s
}
