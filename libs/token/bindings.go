package token

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/principal"
)

// severDelay is what a cancelled request has to notice, before its connection's reads and writes are ended for it. The
// time in between is enough to answer with a problem.
const severDelay = 200 * time.Millisecond

// bindings are the running requests by credential and by person. Each hangs in two lists, one of either index, so that
// joining and leaving cost the same however many run.
type bindings struct {
	delay        time.Duration
	byCredential [bucketCount]bucket // session or API key
	byPerson     [bucketCount]bucket
	cuts         prometheus.Counter
}

const bucketCount = 512

type bucket struct {
	mu    sync.Mutex
	first *binding
	n     int
	_     [40]byte // a bucket is one cache line
}

// index chooses one of a binding's two pairs of links.
type index int

const (
	credential index = iota
	people
)

// binding is one running request.
type binding struct {
	userID, credentialID, keyID string
	apiKey                      bool
	epoch                       int64
	roles, epochRoles           []string
	expires                     time.Time
	cancel                      context.CancelCauseFunc
	links                       [2]struct{ prev, next *binding }

	mu    sync.Mutex
	done  bool   // the request has ended; nothing of it may be touched
	sever func() // ends its connection's reads and writes; nil when it has none
	torn  bool   // sever was called
}

func newBindings(delay time.Duration, cuts prometheus.Counter) *bindings {
	return &bindings{delay: delay, cuts: cuts}
}

func newBinding(p *principal.Principal, cancel context.CancelCauseFunc) *binding {
	b := &binding{userID: p.UserID, credentialID: p.SessionID, keyID: p.KeyID, epoch: p.Epoch, roles: p.Roles, epochRoles: p.EpochRoles, expires: p.ExpiresAt, cancel: cancel}
	if p.APIKeyID != "" {
		b.credentialID, b.apiKey = p.APIKeyID, true
	}
	return b
}

func (s *bindings) credential(id string) *bucket {
	return &s.byCredential[spread(id)%bucketCount]
}

func (s *bindings) person(id string) *bucket {
	return &s.byPerson[spread(id)%bucketCount]
}

func (s *bindings) add(b *binding) {
	s.credential(b.credentialID).add(b, credential)
	s.person(b.userID).add(b, people)
}

// remove ends b. When it returns nothing will touch the request any more. It reports whether b was severed.
func (s *bindings) remove(b *binding) bool {
	b.mu.Lock()
	first := !b.done
	b.done = true
	torn := b.torn
	b.mu.Unlock()
	if first {
		s.credential(b.credentialID).remove(b, credential)
		s.person(b.userID).remove(b, people)
	}
	b.cancel(context.Canceled)
	return torn
}

func (s *bindings) len() int {
	n := 0
	for i := range s.byPerson {
		k := &s.byPerson[i]
		k.mu.Lock()
		n += k.n
		k.mu.Unlock()
	}
	return n
}

// cut ends the requests that e concerns, after the delay.
func (s *bindings) cut(e Entry) {
	var hit []*binding
	cause := error(errRevoked)
	switch e.Kind {
	case KindSession, KindAPIKey:
		apiKey := e.Kind == KindAPIKey
		hit = s.credential(e.ID).find(nil, credential, func(b *binding) bool { return b.credentialID == e.ID && b.apiKey == apiKey })
	case KindUserDeleted:
		hit = s.person(e.ID).find(nil, people, func(b *binding) bool { return b.userID == e.ID })
	case KindUserEpoch:
		cause = errStale
		hit = s.person(e.ID).find(nil, people, func(b *binding) bool { return b.userID == e.ID && b.epoch < e.Seq })
	case KindRoleEpoch:
		cause = errStale
		hit = s.findAll(func(b *binding) bool {
			return b.epoch < e.Seq && (slices.Contains(b.roles, e.ID) || slices.Contains(b.epochRoles, e.ID))
		})
	case KindSigningKey:
		hit = s.findAll(func(b *binding) bool { return b.keyID == e.ID })
	}
	s.end(hit, cause)
}

// cutExpired ends the requests whose token has expired.
func (s *bindings) cutExpired(now time.Time) {
	s.end(s.findAll(func(b *binding) bool { return !b.expires.After(now) }), errRevoked)
}

func (s *bindings) findAll(match func(*binding) bool) []*binding {
	var hit []*binding
	for i := range s.byPerson {
		hit = s.byPerson[i].find(hit, people, match)
	}
	return hit
}

func (s *bindings) end(hit []*binding, cause error) {
	if len(hit) == 0 {
		return
	}
	s.cuts.Add(float64(len(hit)))
	cancelAll := func() {
		for _, b := range hit {
			b.cancel(cause)
		}
		time.AfterFunc(severDelay, func() {
			for _, b := range hit {
				b.tear()
			}
		})
	}
	if s.delay == 0 {
		cancelAll()
		return
	}
	time.AfterFunc(s.delay, cancelAll)
}

func (b *binding) tear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done || b.sever == nil {
		return
	}
	b.torn = true
	b.sever()
}

func (k *bucket) add(b *binding, i index) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.first != nil {
		k.first.links[i].prev = b
	}
	b.links[i].next = k.first
	k.first = b
	k.n++
}

func (k *bucket) remove(b *binding, i index) {
	k.mu.Lock()
	defer k.mu.Unlock()
	prev, next := b.links[i].prev, b.links[i].next
	if prev == nil {
		k.first = next
	} else {
		prev.links[i].next = next
	}
	if next != nil {
		next.links[i].prev = prev
	}
	k.n--
}

// find appends the matching bindings to hit. They are ended outside the lock: cancelling runs other people's code.
func (k *bucket) find(hit []*binding, i index, match func(*binding) bool) []*binding {
	k.mu.Lock()
	defer k.mu.Unlock()
	for b := k.first; b != nil; b = b.links[i].next {
		if match(b) {
			hit = append(hit, b)
		}
	}
	return hit
}
