// Package limitmem is the limiter of one gateway: GCRA in memory, exact to the nanosecond.
//
// Flow: each rule has a set of shards, each shard a map from key to the instant its debt is paid off (package gcra). Take locks
// the shards of its charges in one order, decides, and charges all or none. Keys without debt are as good as absent, so a
// sweep drops them.
//
// Promises: memory is bounded, MaxKeys keys a rule. A flood of new keys never frees an exhausted one: what is evicted
// leaves its debt behind (shard.go), and a rule's flood never touches another rule's keys. A rule that is edited keeps its
// counts; a restart forgets them.
package limitmem

import (
	"context"
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"cloakroom.dev/gateway/internal/routing"

	"github.com/prometheus/client_golang/prometheus"
)

// Options tune a Limiter; the zero value works.
type Options struct {
	MaxKeys int              // keys remembered a rule, about 150 bytes each; default 65536
	Now     func() time.Time // default time.Now; differences must be monotonic
}

const (
	defaultMaxKeys = 1 << 16
	sweepEvery     = 30 * time.Second
)

// Limiter counts in this process. It is safe for concurrent use.
type Limiter struct {
	now      func() time.Time
	start    time.Time
	seed     maphash.Seed
	capacity int // keys a shard
	metrics  *metrics

	rules  atomic.Pointer[map[ruleID]*ruleState] // replaced, never changed
	change sync.Mutex                            // held to replace rules
	made   uint64                                // rule states ever made, under change
	used   map[string]bool                       // labels of the rules in use, under change; nil: not told yet
	shown  map[string]bool                       // labels that have series, under change
}

var _ routing.Limiter = (*Limiter)(nil)

// New makes a limiter; Run keeps it small.
func New(opts Options, reg prometheus.Registerer) *Limiter {
	if opts.MaxKeys <= 0 {
		opts.MaxKeys = defaultMaxKeys
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	l := &Limiter{
		now:      opts.Now,
		start:    opts.Now(),
		seed:     maphash.MakeSeed(),
		capacity: max(1, opts.MaxKeys/shardsPerRule),
		metrics:  newMetrics(reg),
		shown:    map[string]bool{},
	}
	l.rules.Store(&map[ruleID]*ruleState{})
	return l
}

// Run sweeps debtless keys until ctx ends. Without it nothing is wrong, only memory is given back late.
func (l *Limiter) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			l.sweep()
		}
	}
}

// ruleID finds a rule again in the next table, whatever was edited in it.
type ruleID struct{ policy, name string }

// ruleState is everything counted for one rule.
type ruleState struct {
	shards    [shardsPerRule]shard
	label     string
	decisions decisions
	dead      bool // taken out of rules; written under all the shards' locks, read under any
}

// state returns what is counted for a rule, beginning with nothing.
func (l *Limiter) state(rule *routing.LimitRule) *ruleState {
	id := ruleID{rule.Policy, rule.Name}
	if s := (*l.rules.Load())[id]; s != nil {
		return s
	}
	l.change.Lock()
	defer l.change.Unlock()
	if s := (*l.rules.Load())[id]; s != nil {
		return s
	}
	label := rule.Label()
	s := &ruleState{label: label, decisions: l.metrics.of(label)}
	l.shown[label] = true
	for i := range s.shards {
		s.shards[i].order = l.made*shardsPerRule + uint64(i)
	}
	l.made++
	next := maps.Clone(*l.rules.Load())
	next[id] = s
	l.rules.Store(&next)
	return s
}

// sweep drops keys without debt, gives back the memory of floods, and forgets rules of which nothing is left.
func (l *Limiter) sweep() {
	for id, s := range *l.rules.Load() {
		left := 0
		for i := range s.shards {
			left += l.sweepShard(&s.shards[i])
		}
		if left == 0 {
			l.forget(id, s)
		}
	}
}

func (l *Limiter) sweepShard(s *shard) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.keys)
	s.sweep(l.elapsed())
	l.metrics.keys.Add(float64(len(s.keys) - before))
	if s.overflow != nil {
		return len(s.keys) + 1
	}
	return len(s.keys)
}

// forget takes a rule's state out, unless a key has come meanwhile. Holding every shard's lock, no Take is between finding
// the state and charging it; one that found it before sees dead and looks again.
func (l *Limiter) forget(id ruleID, s *ruleState) {
	l.change.Lock()
	defer l.change.Unlock()
	for i := range s.shards {
		s.shards[i].mu.Lock()
		defer s.shards[i].mu.Unlock()
		if len(s.shards[i].keys) > 0 {
			return
		}
	}
	s.dead = true
	next := maps.Clone(*l.rules.Load())
	delete(next, id)
	l.rules.Store(&next)
	if l.used != nil && !l.used[s.label] {
		l.hide(s.label)
	}
}

// Use says which rules there are now, by label. What was counted of the others disappears from the metrics: at once, or when their
// last key is without debt.
func (l *Limiter) Use(labels map[string]bool) {
	l.change.Lock()
	defer l.change.Unlock()
	l.used = labels
	counting := map[string]bool{}
	for _, s := range *l.rules.Load() {
		counting[s.label] = true
	}
	for label := range l.shown {
		if !labels[label] && !counting[label] {
			l.hide(label)
		}
	}
}

// hide takes a rule's series away; change is held.
func (l *Limiter) hide(label string) {
	l.metrics.taken.DeletePartialMatch(prometheus.Labels{"rule": label})
	delete(l.shown, label)
}

// elapsed is the time since the limiter was made, in nanoseconds.
func (l *Limiter) elapsed() int64 { return int64(l.now().Sub(l.start)) }
