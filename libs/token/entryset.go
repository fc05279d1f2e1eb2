package token

import (
	"container/heap"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cloakroom.dev/libs/principal"
)

// sweepGrace keeps entries a little beyond their time: a clock that is set back must not bring a revoked token to life.
const sweepGrace = 2 * time.Minute

// entrySet is the exact set of live entries. check may run beside anything; the rest is serialized by the view.
type entrySet struct {
	tables  [len(kinds)]table
	expiry  expiryHeap // one element for each entry
	reading int64      // counts how often the whole log was begun anew
}

func (s *entrySet) check(p *principal.Principal) error {
	if s.has(signingKeys, p.KeyID) || s.has(sessions, p.SessionID) || s.has(apiKeys, p.APIKeyID) || s.has(deletedUsers, p.UserID) {
		return errRevoked
	}
	if e, found := s.tables[userEpochs].get(p.UserID); found && p.Epoch < e.seq {
		return errStale
	}
	if s.tables[roleEpochs].count.Load() > 0 && (s.outlived(p.Roles, p.Epoch) || s.outlived(p.EpochRoles, p.Epoch)) {
		return errStale
	}
	return nil
}

// outlived reports whether one of the roles has changed after the epoch.
func (s *entrySet) outlived(roles []string, epoch int64) bool {
	for _, role := range roles {
		if e, found := s.tables[roleEpochs].get(role); found && epoch < e.seq {
			return true
		}
	}
	return false
}

func (s *entrySet) has(i int, id string) bool {
	_, found := s.tables[i].get(id)
	return found
}

// add takes e in, unless its time is over. It returns false when it can't: the set is full, or the kind unknown.
func (s *entrySet) add(e Entry, now time.Time, limit int) bool {
	i, known := e.Kind.index()
	if !known || e.ID == "" {
		return false
	}
	fresh := held{until: e.Until.Add(sweepGrace).Unix(), seq: e.Seq, reading: s.reading, blocked: e.Status == StatusBlocked}
	if fresh.until <= now.Unix() {
		return true
	}
	old, found := s.tables[i].get(e.ID)
	switch {
	case found && old.reading == s.reading:
		if e.Status == "" || old.seq > e.Seq {
			fresh.blocked = old.blocked
		}
		fresh.until, fresh.seq = max(fresh.until, old.until), max(fresh.seq, old.seq)
	case found: // the log as it is now is the truth, whatever an earlier one said of this id
	case len(s.expiry) >= limit:
		return false
	default:
		heap.Push(&s.expiry, expiring{fresh.until, i, e.ID})
	}
	s.tables[i].put(e.ID, fresh)
	return true
}

// sweep forgets the entries whose time is over.
func (s *entrySet) sweep(now time.Time) {
	for len(s.expiry) > 0 && s.expiry[0].until <= now.Unix() {
		e := s.expiry[0]
		t := &s.tables[e.table]
		if current, _ := t.get(e.id); current.until > e.until { // it came again, to stay longer
			s.expiry[0].until = current.until
			heap.Fix(&s.expiry, 0)
			continue
		}
		heap.Pop(&s.expiry)
		t.delete(e.id)
	}
	if cap(s.expiry) > 1024 && len(s.expiry) < cap(s.expiry)/4 { // gives back the room of a flood that is over
		s.expiry = slices.Clone(s.expiry)
	}
}

// forgetUnread forgets the live entries that the present reading of the whole log did not have: they were undone.
func (s *entrySet) forgetUnread(now time.Time) {
	kept := s.expiry[:0]
	for _, e := range s.expiry {
		t := &s.tables[e.table]
		h, _ := t.get(e.id)
		if over := h.until <= now.Add(sweepGrace).Unix(); h.reading == s.reading || over { // what is over is not sent again
			kept = append(kept, e)
			continue
		}
		t.delete(e.id)
	}
	clear(s.expiry[len(kept):])
	s.expiry = kept
	heap.Init(&s.expiry)
}

func (s *entrySet) clear() {
	for i := range s.tables {
		s.tables[i].clear()
	}
	s.expiry = nil
}

// held is what is known of one id, and by which reading. until is in seconds.
type held struct {
	until, seq, reading int64
	blocked             bool // of a person
}

const shardCount = 64

// table holds the entries of one kind. A reader shares its lock with few others and holds it for one look-up.
type table struct {
	count  atomic.Int64
	shards [shardCount]tableShard
}

type tableShard struct {
	mu   sync.RWMutex
	byID map[string]held
	_    [64]byte // keeps two shards' locks out of one cache line
}

func (t *table) shard(id string) *tableShard { return &t.shards[spread(id)%shardCount] }

func (t *table) get(id string) (held, bool) {
	if id == "" || t.count.Load() == 0 {
		return held{}, false
	}
	sh := t.shard(id)
	sh.mu.RLock()
	h, found := sh.byID[id]
	sh.mu.RUnlock()
	return h, found
}

func (t *table) put(id string, h held) {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.byID == nil {
		sh.byID = map[string]held{}
	}
	if _, found := sh.byID[id]; !found {
		t.count.Add(1)
	}
	sh.byID[id] = h
}

func (t *table) delete(id string) {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, found := sh.byID[id]; !found {
		return
	}
	delete(sh.byID, id)
	if len(sh.byID) == 0 {
		sh.byID = nil // a map never gives back the room of a flood that is over
	}
	t.count.Add(-1)
}

func (t *table) clear() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		t.count.Add(-int64(len(sh.byID)))
		sh.byID = nil
		sh.mu.Unlock()
	}
}

// expiryHeap has the entry that ends first at its top.
type expiryHeap []expiring

type expiring struct {
	until int64
	table int
	id    string
}

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiring)) }

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = expiring{}
	*h = (*h)[:last]
	return e
}
