package identity

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"cloakroom.dev/libs/fault"
)

const (
	heartbeatEvery = time.Second
	// logBatch entries are read and sent at once: a follower that was away for long costs memory for so many.
	logBatch = 500
	// retryStore is about how long a stream waits to look again at a store that could not be read.
	retryStore = 100 * time.Millisecond

	maxFollowerName = 100
)

// feed wakes the streams of this process when something may have been appended, and knows how far each follower is.
type feed struct {
	mu        sync.Mutex
	woken     chan struct{} // closed and replaced at each wake
	moved     chan struct{} // closed and replaced when a follower comes, goes or acknowledges
	changed   chan struct{} // tells RunPeers that something has moved
	peering   chan struct{} // full while somebody tells other replicas, or hears of them
	followers map[string]*follower
	lost      map[string]lostFollower // whose streams have ended
	elsewhere []PeerFollower          // those of other replicas
	told      []PeerFollower          // what other replicas were told last; touched by who is peering only
	streams   int
	tail      tail
}

// follower is one reader of the log, by name, as its newest stream has it.
type follower struct {
	streams int   // more than one while a broken stream has not been noticed yet
	sent    int64 // nothing past here has been sent
	acked   int64
	bye     bool // it has said that it lets nobody in any more
}

// lostFollower is one whose streams have ended without a word. It may still let people in by what it knew, until that is too old
// for it: so it is counted until then, or until it is back, here or elsewhere.
type lostFollower struct {
	acked int64
	until time.Time
}

// lostFor is longer than any gateway believes a view that hears nothing, by default twice over.
const lostFor = 10 * time.Second

func (f *feed) init() {
	f.woken, f.moved, f.followers = make(chan struct{}), make(chan struct{}), map[string]*follower{}
	f.lost, f.peering = map[string]lostFollower{}, make(chan struct{}, 1)
	f.changed = make(chan struct{}, 1)
}

func (f *feed) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tail.ticket() // before anybody wakes: what is read from now on has what happened
	close(f.woken)
	f.woken = make(chan struct{})
}

// wakeup is closed at the next wake. Take it before reading the store, so that nothing slips between.
func (f *feed) wakeup() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.woken
}

// Resume is where a follower was when its stream broke: the newest entry it has. Same reports whether an entry is that one; the
// number alone does not prove it, for the log may have been put back and have grown again.
type Resume struct {
	Seq  int64
	Same func(Revocation) bool
}

// Follow sends the log after a number to one follower, as it grows: first every live entry, then a heartbeat, then
// entries as they commit and a heartbeat a second. With a Resume whose entry is in the log it begins after that one, and
// says so first. It stops heartbeats while the store can't be read. It returns when ctx ends or send fails. send is called
// from this goroutine only. Faults: Invalid for a bad name, Overloaded.
func (s *Service) Follow(ctx context.Context, name string, after int64, resume *Resume, send func(Event) error) error {
	if !isFollowerName(name) {
		return fault.Validation(fault.Field{Field: "follower", Code: "INVALID", Detail: "must be 1 to 100 letters, digits, dots, dashes, slashes or colons"})
	}
	if after < 0 {
		return fault.Validation(fault.Field{Field: "after", Code: "INVALID", Detail: "must not be negative"})
	}
	f, err := s.feed.join(name, s.opts.MaxFollowers, s.opts.Observer)
	if err != nil {
		return err
	}
	defer s.feed.leave(name, s.opts.MaxFollowers, s.opts.Observer)
	return (&stream{service: s, follower: f, cursor: after, resume: resume, send: send}).run(ctx)
}

func isFollowerName(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@"
	return s != "" && len(s) <= maxFollowerName && strings.Trim(s, allowed) == ""
}

// stream is one run of Follow.
type stream struct {
	service  *Service
	follower *follower
	cursor   int64   // everything up to here has been sent, or no longer matters
	resume   *Resume // not yet looked up; nil when there is none
	since    uint64  // a ticket from after the stream last read the store for itself
	told     bool    // other replicas know of this follower
	begun    bool    // era is known
	era      int
	send     func(Event) error
}

func (st *stream) run(ctx context.Context) error {
	ticker := time.NewTicker(heartbeatEvery)
	defer ticker.Stop()
	feed := &st.service.feed
	beat := true // right after the backlog
	ticket := feed.tail.ticket()
	for {
		woken := feed.wakeup()
		made, err := st.catchUp(ctx, ticket)
		again := (<-chan time.Time)(nil)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, new(sendError)):
			return err
		case err != nil: // the follower hears no heartbeat and draws its conclusions
			again, beat = time.After(retryStore/2+rand.N(retryStore)), true //nolint:gosec // spreading retries is no secret
		case beat:
			if err := st.send(Event{Kind: EventHeartbeat, Seq: st.cursor, MadeAt: made}); err != nil {
				return err
			}
			beat = false
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			beat, ticket = true, feed.tail.ticket()
		case <-again:
			ticket = feed.tail.ticket()
		case <-woken:
			ticket = feed.tail.tickets.Load() // whoever woke has drawn one
		}
	}
}

// sendError is the follower's end of the stream breaking, as opposed to the store's.
type sendError struct{ cause error }

func (e sendError) Error() string { return "send to the follower: " + e.cause.Error() }
func (e sendError) Unwrap() error { return e.cause }

// catchUp sends what is new, batch by batch, and returns when the last reading began: the heartbeat that follows
// vouches for that moment.
func (st *stream) catchUp(ctx context.Context, ticket uint64) (made time.Time, err error) {
	if !st.told { // before it hears anything: whoever lets people in by what it is told here is waited for everywhere
		if err := st.service.tellPeers(ctx); err != nil {
			return made, err
		}
		st.told = true
	}
	if err := st.takeUp(ctx); err != nil {
		return made, err
	}
	tail := &st.service.feed.tail
	now, err := tail.look(ctx, st.service, max(ticket, st.since))
	if err != nil {
		return made, err
	}
	if st.cursor > now.head || st.begun && st.era != now.era {
		if err := st.reset(now.head); err != nil {
			return made, err
		}
	}
	st.begun, st.era = true, now.era
	for {
		made, head := now.made, now.head
		entries, kept := now.after(st.cursor)
		if !kept || st.cursor > head { // too far behind for what is kept, or past it by what it has read for itself
			made = time.Now()
			if entries, head, err = st.read(ctx); err != nil {
				return made, err
			}
			st.since = tail.ticket()
		}
		if err := st.pass(entries[:min(len(entries), logBatch)], head); err != nil {
			return made, err
		}
		if st.cursor >= head {
			return made, nil
		}
	}
}

// pass sends entries, out of a log whose head is known.
func (st *stream) pass(entries []Revocation, head int64) error {
	upTo := head // past the last entry there may be some that have expired: nobody needs them
	if len(entries) == logBatch {
		upTo = entries[logBatch-1].Seq
	}
	// Noted before it is sent: the acknowledgement takes another way and may be here first.
	st.service.feed.sending(st.follower, st.cursor, upTo)
	if len(entries) > 0 {
		if err := st.send(Event{Kind: EventEntries, Entries: entries}); err != nil {
			return sendError{err}
		}
	}
	st.cursor = upTo
	return nil
}

// takeUp looks whether the follower can go on from where it was.
func (st *stream) takeUp(ctx context.Context) error {
	if st.resume == nil {
		return nil
	}
	var there []Revocation
	err := st.service.store.View(ctx, func(tx Tx) (err error) {
		there, err = tx.Revocations(ctx, st.resume.Seq-1, 1)
		return err
	})
	if err != nil {
		return err
	}
	if len(there) == 1 && there[0].Seq == st.resume.Seq && st.resume.Same(there[0]) {
		st.cursor, st.since = st.resume.Seq, st.service.feed.tail.ticket()
		if err := st.send(Event{Kind: EventResumed, Seq: st.cursor}); err != nil {
			return sendError{err}
		}
	}
	st.resume = nil
	return nil
}

// read takes entries and head from one state of the store.
func (st *stream) read(ctx context.Context) (entries []Revocation, head int64, err error) {
	err = st.service.store.View(ctx, func(tx Tx) error {
		entries = nil
		if head, err = tx.RevocationHead(ctx); err != nil || head <= st.cursor {
			return err
		}
		entries, err = tx.Revocations(ctx, st.cursor, logBatch)
		return err
	})
	return entries, head, err
}

// reset tells a follower that it knows more than the log: the store was put back to an earlier state.
func (st *stream) reset(head int64) error {
	if err := st.send(Event{Kind: EventReset, Seq: head}); err != nil {
		return sendError{err}
	}
	st.cursor = 0
	return nil
}
