package limitmem

import (
	"math"
	"strings"
	"sync"

	"cloakroom.dev/gateway/internal/gcra"
	"cloakroom.dev/gateway/internal/routing"
)

const (
	shardsPerRule = 32
	overflowCells = 128 // a shard, 1 KiB, made at the first eviction
	sampledKeys   = 8   // looked at for an eviction: the one to go is then nearly always among the least indebted
)

// shard holds a part of a rule's keys. Everything but order needs mu.
//
// When it is full of keys in debt, one must go for a new one. Simply forgotten, an exhausted key could be freed by flooding
// the shard: with other people's addresses, or a header the client chooses. So a key that goes leaves its TAT in an
// overflow cell, chosen by the key's hash, which keeps the latest TAT of all that fell into it; and a key that is not
// remembered starts from its cell instead of from now. A returning key thus owes at least what it owed. The price is paid
// by new keys under a flood: one that shares a cell with an evicted key may start with that key's debt. Since the least
// indebted go first, that is usually the debt of one request, and it fades as any debt does.
type shard struct {
	mu       sync.Mutex
	order    uint64
	keys     map[routing.Key]gcra.Instant
	peak     int // most keys since the map was made; a map never gives memory back
	overflow *[overflowCells]int64
}

// debt returns the TAT a key starts from, and whether the key is remembered.
func (s *shard) debt(key *routing.Key, hash uint64, now int64) (tat gcra.Instant, known bool) {
	if tat, known = s.keys[*key]; known {
		return tat, true
	}
	if s.overflow != nil {
		return gcra.Instant{Units: s.overflow[cell(hash)]}, false
	}
	return gcra.Instant{Units: now}, false
}

// add remembers a new key.
func (s *shard) add(key routing.Key, tat gcra.Instant) {
	if s.keys == nil {
		s.keys = make(map[routing.Key]gcra.Instant)
	}
	key.Text = strings.Clone(key.Text) // it may be a piece of a whole request's header
	s.keys[key] = tat
	s.peak = max(s.peak, len(s.keys))
}

// makeRoom looks at some keys and drops those without debt; when there are none it evicts the least indebted one and
// returns it. Iteration of a map begins anywhere, which is what a sample wants.
func (s *shard) makeRoom(now int64) (victim routing.Key, debt int64, evicted bool) {
	seen, freed, least := 0, false, gcra.Instant{Units: math.MaxInt64}
	for key, tat := range s.keys {
		switch {
		case tat.Ceil() <= now:
			delete(s.keys, key)
			freed = true
		case least.After(tat):
			victim, least = key, tat
		}
		if seen++; seen == sampledKeys {
			break
		}
	}
	if freed {
		return routing.Key{}, 0, false
	}
	delete(s.keys, victim)
	return victim, least.Ceil(), true
}

// carry leaves the debt of an evicted key behind.
func (s *shard) carry(hash uint64, debt int64) {
	if s.overflow == nil {
		s.overflow = new([overflowCells]int64)
	}
	s.overflow[cell(hash)] = max(s.overflow[cell(hash)], debt)
}

// cell uses other bits of the hash than the choice of the shard.
func cell(hash uint64) uint64 { return (hash >> 32) % overflowCells }

// sweep drops keys and cells without debt, and makes a smaller map when a flood has passed.
func (s *shard) sweep(now int64) {
	for key, tat := range s.keys {
		if tat.Ceil() <= now {
			delete(s.keys, key)
		}
	}
	if len(s.keys) < s.peak/4 {
		small := make(map[routing.Key]gcra.Instant, len(s.keys))
		for key, tat := range s.keys {
			small[key] = tat
		}
		s.keys, s.peak = small, len(small)
	}
	if s.overflow == nil {
		return
	}
	for _, debt := range s.overflow {
		if debt > now {
			return
		}
	}
	s.overflow = nil
}
