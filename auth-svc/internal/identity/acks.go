package identity

import (
	"context"
	"maps"
	"time"

	"cloakroom.dev/libs/fault"
)

var (
	errTooManyFollowers = fault.New(fault.Overloaded, "too many followers are connected")
	errNotFollowing     = fault.New(fault.NotFound, "no such follower is connected")
)

// join notes a new stream. What an older stream of that name had acknowledged no longer counts: its reader may have
// started anew.
func (f *feed) join(name string, most int, o Observer) (*follower, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.streams >= most {
		o.FollowerRefused()
		return nil, errTooManyFollowers
	}
	f.streams++
	fol := &follower{streams: 1}
	if old := f.followers[name]; old != nil {
		fol.streams += old.streams
	}
	f.followers[name] = fol
	delete(f.lost, name)
	f.notify()
	o.Followers(f.streams)
	return fol, nil
}

func (f *feed) leave(name string, most int, o Observer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streams--
	fol := f.followers[name]
	if fol.streams--; fol.streams == 0 {
		delete(f.followers, name)
		f.forgetLost(time.Now())
		if !fol.bye && len(f.lost) < most {
			f.lost[name] = lostFollower{fol.acked, time.Now().Add(lostFor)}
		}
	}
	f.notify()
	o.Followers(f.streams)
}

func (f *feed) forgetLost(now time.Time) {
	maps.DeleteFunc(f.lost, func(_ string, l lostFollower) bool { return !now.Before(l.until) })
}

// Bye notes that a follower lets nobody in any more: it need not be waited for.
func (s *Service) Bye(name string) {
	f := &s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if fol := f.followers[name]; fol != nil {
		fol.bye = true
	}
	delete(f.lost, name)
	f.notify()
}

// sending notes that a follower, who has everything up to from, is being sent the log up to upTo.
func (f *feed) sending(fol *follower, from, upTo int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fol.sent == 0 && from > 0 { // it resumed from there
		fol.acked = max(fol.acked, from)
		f.notify()
	}
	fol.sent = upTo
}

// notify needs mu.
func (f *feed) notify() {
	close(f.moved)
	f.moved = make(chan struct{})
	f.change()
}

// Ack notes that a follower has applied the log up to seq; one that is connected to another replica is told there.
// Faults: NotFound when it is not connected, Invalid when seq was never sent to it.
func (s *Service) Ack(ctx context.Context, name string, seq int64) error {
	err := s.feed.ack(name, seq)
	if err != nil && seq >= 0 && s.feed.isElsewhere(name) {
		return s.opts.Peers.Forward(ctx, name, seq)
	}
	return err
}

func (f *feed) ack(name string, seq int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fol := f.followers[name]
	if fol == nil {
		return errNotFollowing
	}
	if seq < 0 || seq > fol.sent {
		return fault.Validation(fault.Field{Field: "seq", Code: "INVALID", Detail: "was not sent to this follower"})
	}
	fol.acked = max(fol.acked, seq)
	f.notify()
	return nil
}

// WaitAcked waits until every follower has applied the entry, AckTimeout has passed, or ctx ends, and says how far it has come.
// The entry stands in any case. A follower counts while it is connected, and for as long after as it might let people in. When
// all have, nobody does by what the entry revokes.
func (s *Service) WaitAcked(ctx context.Context, seq int64) Acks {
	began := time.Now()
	timeout := time.NewTimer(s.opts.AckTimeout)
	defer timeout.Stop()
	unsure := s.opts.Peers != nil // who is elsewhere must have been read after the entry was there
	for {
		if unsure {
			unsure = s.lookElsewhere(ctx) != nil
		}
		acks, moved := s.feed.progress(seq)
		acks.Lag = time.Since(began)
		retry := (<-chan time.Time)(nil)
		if unsure {
			acks.Of = max(acks.Of, acks.Acked+1) // somebody may be there whom nobody could be asked about
			retry = time.After(retryStore)
		}
		if acks.Acked == acks.Of {
			return acks
		}
		select {
		case <-ctx.Done():
			return acks
		case <-timeout.C:
			return acks
		case <-moved:
		case <-retry:
		}
	}
}

func (f *feed) progress(seq int64) (a Acks, moved <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgetLost(time.Now())
	behind := map[string]bool{} // one name at two replicas is one follower, who has come over; both its streams count
	for name, fol := range f.followers {
		behind[name] = fol.acked < seq
	}
	for _, p := range f.elsewhere {
		behind[p.Name] = behind[p.Name] || p.Acked < seq
	}
	for name, l := range f.lost {
		if _, back := behind[name]; !back {
			behind[name] = l.acked < seq
		}
	}
	for _, is := range behind {
		a.Of++
		if !is {
			a.Acked++
		}
	}
	return a, f.moved
}
