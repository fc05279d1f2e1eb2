package identity

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"cloakroom.dev/libs/fault"
)

// The guard against guessing.
//
// A guess counts against the account that was named and the address it came from; from a device that has come in with
// that account before, it counts against that device alone, and nobody else's guesses stand in its way. Looking costs
// a reading, which every login does anyway; only a wrong guess writes, in a transaction of its own. Guesses under way
// are counted in memory until their failure is in the store, and where there are other replicas in the store as well
// (places.go), so that a thousand at once are as bounded as a thousand in a row; those beyond the bound wait a moment, since
// honest people come in parallel too. Whoever is refused is refused alike, whether the account exists or not.
// This file has those under way (guard); guess.go has one of them, and what it counts against.

// guard counts guesses under way, for each key. It holds no more entries than requests run at once, and maxHeld.
type guard struct {
	mu   sync.Mutex
	open map[[32]byte]*slot
	held []heldKey // failures that could not be written: they count as under way until their window has passed
}

// slot is one key's guesses under way.
type slot struct {
	open    int
	held    int // of those open, failures that could not be written
	waiting int
	left    chan struct{} // closed when one of them leaves; nil while nobody waits
}

type heldKey struct {
	key   [32]byte
	until time.Time
}

const (
	// maxHeld bounds what is remembered of failures while the store is down. Without it nobody comes in anyway.
	maxHeld = 10_000
	// maxGuessWaiting guesses at one key may wait for those under way, for guessWait at most; others are told to come back.
	maxGuessWaiting = 64
	guessWait       = 5 * time.Second
)

// errOthersFirst is for whoever has waited in vain for guesses at the same account that were under way. They may all have been
// right, as several devices of one person are, so nothing is said of failures: the machine was too slow for all of them.
var errOthersFirst = fault.Retry(fault.Overloaded, "too many sign-ins at this moment, try again shortly", time.Second)

func (g *guard) enter(key [32]byte) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.slot(key)
	s.open++
	return s.open
}

// slot finds or makes the key's; mu is held.
func (g *guard) slot(key [32]byte) *slot {
	if g.open == nil {
		g.open = map[[32]byte]*slot{}
	}
	if g.open[key] == nil {
		g.open[key] = &slot{}
	}
	return g.open[key]
}

func (g *guard) leave(key [32]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(key)
}

// stepBack is leave of a guess that found no room and now waits itself. It wakes nobody: those who wait would wake each other for
// ever, with a reading of the store each time. Whoever it stood in the way of looks again soon.
func (g *guard) stepBack(key [32]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.open[key]
	if s.open--; s.open == 0 && s.waiting == 0 {
		delete(g.open, key)
	}
}

func (g *guard) drop(key [32]byte) {
	s := g.open[key]
	s.open--
	if s.left != nil {
		close(s.left)
		s.left = nil
	}
	if s.open == 0 && s.waiting == 0 {
		delete(g.open, key)
	}
}

// wait returns nil when one of those under way on the key has left, or after a moment: those at other replicas leave
// without a word, and so do those who step back. It returns fault.RateLimited where too many wait already, and fault.Overloaded when
// nobody has left until the deadline.
func (g *guard) wait(ctx context.Context, key [32]byte, deadline <-chan time.Time) error {
	look := time.NewTimer(placesLook/2 + rand.N(placesLook)) //nolint:gosec // spreading looks is no secret
	defer look.Stop()
	g.mu.Lock()
	s := g.slot(key)
	if s.waiting >= maxGuessWaiting {
		g.mu.Unlock()
		return tooManyGuesses(time.Second)
	}
	if s.left == nil {
		s.left = make(chan struct{})
	}
	left := s.left
	s.waiting++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if s.waiting--; s.open == 0 && s.waiting == 0 {
			delete(g.open, key)
		}
	}()
	select {
	case <-left:
		return nil
	case <-look.C:
		return nil
	case <-deadline:
	case <-ctx.Done():
	}
	return errOthersFirst
}

// hold keeps an entry that could not become a failure in the store.
func (g *guard) hold(key [32]byte, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.held) >= maxHeld {
		g.dropHeld()
	}
	g.held = append(g.held, heldKey{key, until})
	g.open[key].held++
}

// HeldFailures is how many failures that could not be written count in memory: at most 10000, beyond it the oldest are let go.
func (s *Service) HeldFailures() int {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	return len(s.guard.held)
}

// dropHeld lets go of the oldest held entry; mu is held.
func (g *guard) dropHeld() {
	key := g.held[0].key
	g.held = g.held[1:]
	g.open[key].held--
	g.drop(key)
}

// failed is how many of those under way on the key are failures that could not be written.
func (g *guard) failed(key [32]byte) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.open[key]; s != nil {
		return s.held
	}
	return 0
}

// forget lets go of held entries whose window has passed.
func (g *guard) forget(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.held) > 0 && !now.Before(g.held[0].until) {
		g.dropHeld()
	}
}
