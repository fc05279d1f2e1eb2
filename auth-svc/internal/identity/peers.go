package identity

import (
	"context"
	"slices"
	"time"
)

// peersTick is how often replicas tell each other of their followers when nothing has changed, and look even when they were
// told nothing.
const peersTick = time.Second

// peersGap joins acknowledgements that come one after the other, as those of all followers of one entry do.
const peersGap = 3 * time.Millisecond

// Peers is where replicas tell each other of the followers connected to them: so WaitAcked counts all of them, and an
// acknowledgement may come in at any replica.
type Peers interface {
	// Announce tells how far the followers here are, in place of what this replica has told before. It is believed for ten
	// seconds. With news the others are told to look.
	Announce(ctx context.Context, here []PeerFollower, news bool) error
	// Elsewhere lists the followers that other replicas have announced, each name once with the least it has acknowledged.
	Elsewhere(ctx context.Context) ([]PeerFollower, error)
	// Forward passes an acknowledgement to the other replicas, whose AckedElsewhere is to be called with it.
	Forward(ctx context.Context, name string, seq int64) error
}

// PeerFollower is a follower as other replicas know it.
type PeerFollower struct {
	Name  string
	Acked int64
}

// RunPeers tells other replicas of the followers here and learns of theirs, until ctx ends. Without Peers it only waits.
func (s *Service) RunPeers(ctx context.Context) error {
	if s.opts.Peers == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(peersTick)
	defer tick.Stop()
	f, broken := &s.feed, false
	for again := true; ; {
		err := s.meetPeers(ctx, again)
		if err != nil && !broken && ctx.Err() == nil {
			s.opts.Log.ErrorContext(ctx, "followers of other replicas can't be counted", "error", err.Error())
		}
		broken = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			again = true
		case <-f.changed:
			time.Sleep(peersGap)
			again = false
		}
	}
}

// meetPeers tells of the followers here, if there is news or it is to be told again, and looks who is elsewhere.
func (s *Service) meetPeers(ctx context.Context, again bool) error {
	err := s.withPeers(ctx, func() error { return s.announce(ctx, again) })
	if err != nil {
		return err
	}
	return s.lookElsewhere(ctx)
}

// tellPeers returns when other replicas can know of all followers that have joined here by now.
func (s *Service) tellPeers(ctx context.Context) error {
	if s.opts.Peers == nil {
		return nil
	}
	return s.withPeers(ctx, func() error { return s.announce(ctx, false) })
}

// withPeers has one at a time tell or look: what was told or read later is never undone by what was before.
func (s *Service) withPeers(ctx context.Context, do func() error) error {
	select {
	case s.feed.peering <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.feed.peering }()
	return do()
}

func (s *Service) announce(ctx context.Context, again bool) error {
	here := s.feed.here()
	news := !slices.Equal(here, s.feed.told)
	if !news && !again {
		return nil
	}
	err := s.opts.Peers.Announce(ctx, here, news)
	if err == nil {
		s.feed.told = here
	}
	return err
}

// lookElsewhere reads what other replicas have told. When it can't be read the last word stays: a follower is rather waited
// for in vain than forgotten.
func (s *Service) lookElsewhere(ctx context.Context) error {
	return s.withPeers(ctx, func() error {
		list, err := s.opts.Peers.Elsewhere(ctx)
		if err == nil {
			s.feed.setElsewhere(list)
		}
		return err
	})
}

// PeersMoved tells the service that another replica has announced something, or may have.
func (s *Service) PeersMoved() { s.feed.change() }

// AckedElsewhere takes an acknowledgement that came in at another replica; it may be for a follower that is not here.
func (s *Service) AckedElsewhere(name string, seq int64) { _ = s.feed.ack(name, seq) }

// here lists the followers of this replica by name.
func (f *feed) here() []PeerFollower {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]PeerFollower, 0, len(f.followers))
	f.forgetLost(time.Now())
	for name, l := range f.lost {
		list = append(list, PeerFollower{Name: name, Acked: l.acked})
	}
	for name, fol := range f.followers {
		list = append(list, PeerFollower{Name: name, Acked: fol.acked})
	}
	slices.SortFunc(list, func(a, b PeerFollower) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}

func (f *feed) setElsewhere(list []PeerFollower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Equal(list, f.elsewhere) {
		return
	}
	f.elsewhere = list
	for _, p := range list { // it has come over
		if _, was := f.lost[p.Name]; was {
			delete(f.lost, p.Name)
			f.change()
		}
	}
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *feed) isElsewhere(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.elsewhere, func(p PeerFollower) bool { return p.Name == name })
}

// change has RunPeers tell and look at once.
func (f *feed) change() {
	select {
	case f.changed <- struct{}{}:
	default: // it is about to
	}
}
