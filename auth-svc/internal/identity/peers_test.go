package identity_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// board is where two replicas tell each other of their followers. Nobody is told that there is news.
type board struct {
	mu    sync.Mutex
	rows  [2][]identity.PeerFollower
	away  bool
	calls int
}

// seat is one replica's place at the board.
type seat struct {
	*board
	at int
}

var errAway = errors.New("the board is away")

func (s seat) Announce(_ context.Context, here []identity.PeerFollower, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	s.calls++
	s.rows[s.at] = here
	return nil
}

func (s seat) Elsewhere(context.Context) ([]identity.PeerFollower, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, errAway
	}
	return s.rows[1-s.at], nil
}

func (seat) Forward(context.Context, string, int64) error { return nil }

func (b *board) set(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

func (b *board) told() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// replicas are two services on one store.
func replicas(t *testing.T) (both [2]*identitytest.World, b *board) {
	t.Helper()
	clock, b := identitytest.NewClock(), &board{}
	store := identitytest.Memory(clock.Now)
	for i := range both {
		both[i] = identitytest.NewWorld(t, store, clock, ordinary, func(o *identity.Options) { o.Peers = seat{b, i} })
	}
	return both, b
}

func running(t *testing.T, w *identitytest.World) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Service.RunPeers(ctx) }()
	t.Cleanup(func() { stop(); <-done })
}

func acks(t *testing.T, w *identitytest.World, seq int64) identity.Acks {
	t.Helper()
	return w.Service.WaitAcked(t.Context(), seq)
}

// Who lets people in by what it heard at one replica is waited for at the other, though nobody has told that one of it.
func TestWaitAcked_WaitsForWhoHasJustJoinedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, _ := replicas(t)
		appendTo(t, both[0].Store, "a")
		g := follow(both[1], "gateway", 0, &gateway{})
		synctest.Wait()
		if _, heads, _ := g.heard(); len(heads) != 1 {
			t.Fatalf("heartbeats %v", heads)
		}
		appendTo(t, both[0].Store, "b")
		if got := acks(t, both[0], 2); got.Of != 1 || got.Acked != 0 {
			t.Errorf("%+v, want none of one", got)
		}
		g.end(t)
	})
}

func TestFollow_IsToldNothingWhileOtherReplicasCannotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, b := replicas(t)
		b.set(true)
		g := follow(both[1], "gateway", 0, &gateway{})
		time.Sleep(3 * time.Second)
		if _, heads, _ := g.heard(); len(heads) > 0 {
			t.Errorf("heartbeats %v", heads)
		}
		if got := acks(t, both[0], 0); got.Acked == got.Of {
			t.Errorf("%+v, though nobody could be asked who is elsewhere", got)
		}
		b.set(false)
		time.Sleep(300 * time.Millisecond)
		if _, heads, _ := g.heard(); len(heads) == 0 {
			t.Error("no heartbeat after others could be told")
		}
		g.end(t)
	})
}

// A follower that is cut off may let people in for as long as it believes what it knew.
func TestWaitAcked_WhoIsLostCountsUntilItIsBackOrTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, _ := replicas(t)
		running(t, both[0])
		running(t, both[1])
		g := follow(both[0], "gateway", 0, &gateway{})
		synctest.Wait()
		g.end(t)
		time.Sleep(2 * time.Second)
		appendTo(t, both[0].Store, "a")
		for _, w := range both {
			if got := acks(t, w, 1); got.Of != 1 || got.Acked != 0 {
				t.Errorf("%+v, want none of one", got)
			}
		}
		g = follow(both[1], "gateway", 0, &gateway{ack: true})
		time.Sleep(3 * time.Second)
		for _, w := range both {
			if got := acks(t, w, 1); got.Of != 1 || got.Acked != 1 {
				t.Errorf("back: %+v, want one of one", got)
			}
		}
		g.end(t)
		time.Sleep(12 * time.Second)
		for _, w := range both {
			if got := acks(t, w, 99); got.Of != 0 {
				t.Errorf("%+v long after it was lost", got)
			}
		}
	})
}

func TestWaitAcked_WhoSaidGoodbyeIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, _ := replicas(t)
		for _, first := range []bool{true, false} { // or the end of the stream may be noticed first
			g := follow(both[0], "gateway", 0, &gateway{})
			synctest.Wait()
			if first {
				both[0].Service.Bye("gateway")
			}
			g.end(t)
			if !first {
				both[0].Service.Bye("gateway")
			}
			if got := acks(t, both[0], 99); got.Of != 0 {
				t.Errorf("%+v", got)
			}
		}
	})
}

// All acknowledgements of one entry are told together, and nothing is told twice for being looked at.
func TestPeers_AcknowledgementsAreToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, b := replicas(t)
		running(t, both[0])
		var all []*gateway
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			all = append(all, follow(both[0], name, 0, &gateway{ack: true}))
		}
		time.Sleep(10 * time.Millisecond)
		before := b.told()
		appendTo(t, both[0].Store, "x")
		both[0].Service.LogGrew()
		time.Sleep(20 * time.Millisecond)
		for range 10 {
			both[0].Service.PeersMoved()
			time.Sleep(5 * time.Millisecond)
		}
		if n := b.told() - before; n < 1 || n > 2 {
			t.Errorf("told %d times", n)
		}
		for _, g := range all {
			g.end(t)
		}
	})
}
