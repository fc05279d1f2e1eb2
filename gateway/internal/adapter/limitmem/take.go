package limitmem

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"time"

	"cloakroom.dev/gateway/internal/gcra"
	"cloakroom.dev/gateway/internal/routing"
)

// Take implements routing.Limiter. It never fails: nothing here waits for anything but short locks.
func (l *Limiter) Take(_ context.Context, charges []routing.Charge, verdicts []routing.Verdict) error {
	var seatBuf [usualCharges]seat
	var shardBuf [usualCharges]*shard
	seats, locked := l.enter(charges, seatBuf[:0], shardBuf[:0])
	now := l.elapsed() // under the locks: time must not run backwards for a key

	pass := true
	for i := range seats {
		s := &seats[i]
		s.tat, s.known = s.shard.debt(s.key, s.hash, now)
		s.tat = s.quota.Bound(s.tat, now)
		s.after, s.allowed = s.quota.Take(s.tat, now)
		pass = pass && (s.allowed || charges[i].Rule.Shadow)
	}
	for i := range seats {
		s := &seats[i]
		if s.allowed && (pass || charges[i].Rule.Shadow) {
			l.charge(s, now)
		}
		verdicts[i] = s.quota.Verdict(s.tat, now, s.allowed)
		s.state.decisions.count(charges[i].Rule.Shadow, s.allowed)
	}
	unlock(locked)
	return nil
}

// usualCharges fit on the stack; more are rare and cost an allocation.
const usualCharges = 4

// seat is one charge on its way.
type seat struct {
	key   *routing.Key
	hash  uint64
	state *ruleState
	shard *shard
	quota gcra.Quota

	tat, after gcra.Instant // before and after this request
	allowed    bool
	known      bool // the shard remembers the key
}

// enter finds the shards of the charges and locks each once, in the one order in which everybody locks.
func (l *Limiter) enter(charges []routing.Charge, seats []seat, locked []*shard) ([]seat, []*shard) {
	for {
		seats = l.find(charges, seats[:0])
		locked = lock(seats, locked[:0])
		if !slices.ContainsFunc(seats, func(s seat) bool { return s.state.dead }) {
			return seats, locked
		}
		unlock(locked) // the rule was forgotten between find and lock: what is charged there would be for free
	}
}

func (l *Limiter) find(charges []routing.Charge, seats []seat) []seat {
	for i := range charges {
		hash := maphash.Comparable(l.seed, charges[i].Key)
		state := l.state(charges[i].Rule)
		seats = append(seats, seat{
			key: &charges[i].Key, hash: hash, state: state, shard: &state.shards[hash%shardsPerRule], quota: gcra.New(charges[i].Rule, time.Nanosecond),
		})
	}
	return seats
}

func lock(seats []seat, locked []*shard) []*shard {
	for i := range seats {
		if !slices.Contains(locked, seats[i].shard) {
			locked = append(locked, seats[i].shard)
		}
	}
	slices.SortFunc(locked, func(a, b *shard) int { return cmp.Compare(a.order, b.order) })
	for _, sh := range locked {
		sh.mu.Lock()
	}
	return locked
}

func unlock(locked []*shard) {
	for _, sh := range locked {
		sh.mu.Unlock()
	}
}

// charge writes the request down.
func (l *Limiter) charge(s *seat, now int64) {
	s.tat = s.after
	if s.known {
		s.shard.keys[*s.key] = s.after
		return
	}
	before := len(s.shard.keys)
	if before >= l.capacity {
		if victim, debt, evicted := s.shard.makeRoom(now); evicted {
			s.shard.carry(maphash.Comparable(l.seed, victim), debt)
			l.metrics.evictions.Inc()
		}
	}
	s.shard.add(*s.key, s.after)
	l.metrics.keys.Add(float64(len(s.shard.keys) - before))
}
