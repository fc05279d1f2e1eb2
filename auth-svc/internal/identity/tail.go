package identity

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// tailKept entries stay in memory. A stream that is further behind reads the store for itself.
	tailKept = 1024
	// tailGap is the least time between two readings, so that a storm of logouts does not become a storm of readings.
	tailGap = 2 * time.Millisecond
	// tailTimeout ends a reading that hangs: the next may find a connection that does not.
	tailTimeout = 2 * time.Second
)

// tail is the end of the log as this process has last read it. All streams share one reading: a logout costs the store
// one, however many follow.
//
// Whoever wants to know of something draws a ticket after it has happened, and waits for a reading that began after the
// ticket was drawn.
type tail struct {
	tickets atomic.Uint64

	mu      sync.Mutex
	running chan struct{} // closed when the reading under way has ended; nil when there is none
	ended   time.Time     // when the last one did
	broken  bool          // it failed
	failed  error
	tried   uint64 // tickets drawn when it began
	last    seen   // the last one that did not fail
}

// LogReader is a store that can read the end of its log in one step. What it can't is read again in a View.
type LogReader interface {
	// ReadLog returns the head and the live entries after a number, at most limit, from one state of the store.
	ReadLog(ctx context.Context, after int64, limit int) (entries []Revocation, head int64, err error)
}

// seen is what one reading has found.
type seen struct {
	known   bool
	tickets uint64 // drawn when it began
	made    time.Time
	head    int64
	from    int64        // entries are all live ones after this
	entries []Revocation // the newest, in order
	era     int          // counts how often the log turned out to be another one
}

func (t *tail) ticket() uint64 { return t.tickets.Add(1) }

// look returns a reading that began after the ticket was drawn. Of several who want one, one reads; who reads does so to
// the end, also for a caller who is gone.
func (t *tail) look(ctx context.Context, s *Service, ticket uint64) (seen, error) {
	for {
		t.mu.Lock()
		switch running := t.running; {
		case t.last.known && t.last.tickets >= ticket:
			defer t.mu.Unlock()
			return t.last, nil
		case t.broken && t.tried >= ticket:
			defer t.mu.Unlock()
			return seen{}, t.failed
		case running != nil:
			t.mu.Unlock()
			select {
			case <-running:
			case <-ctx.Done():
				return seen{}, ctx.Err()
			}
		default:
			t.running = make(chan struct{})
			pause := tailGap - time.Since(t.ended)
			t.mu.Unlock()
			if pause > 0 {
				time.Sleep(pause)
			}
			t.read(context.WithoutCancel(ctx), s)
		}
	}
}

// read is called by one at a time.
func (t *tail) read(ctx context.Context, s *Service) {
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	t.mu.Lock()
	before, next, doubt := t.last, t.last, t.broken
	t.mu.Unlock()
	next.known, next.tickets, next.made = true, t.tickets.Load(), time.Now()
	var err error
	if doubt || !before.known || !next.extend(ctx, s.opts.Tail) {
		err = s.store.View(ctx, func(tx Tx) error { return next.find(ctx, tx, before, doubt) })
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && t.broken:
		s.opts.Log.InfoContext(ctx, "revocation log can be read again")
	case err != nil && !t.broken: // followers hear no heartbeat and draw their conclusions
		s.opts.Log.ErrorContext(ctx, "revocation log can't be read", "error", err.Error())
	}
	t.broken, t.failed, t.tried, t.ended = err != nil, err, next.tickets, time.Now()
	if err == nil {
		t.last = next
	}
	close(t.running)
	t.running = nil
}

// extend adds what is new to what was seen before, if that goes in one step and nothing is strange.
func (n *seen) extend(ctx context.Context, r LogReader) bool {
	if r == nil {
		return false
	}
	fresh, head, err := r.ReadLog(ctx, n.head, logBatch)
	if err != nil || head < n.head {
		return false
	}
	n.head = head
	n.keep(fresh)
	return true
}

// find takes head and new entries from one state of the store. It may be called more than once.
func (n *seen) find(ctx context.Context, tx Tx, before seen, doubt bool) (err error) {
	n.head, n.from, n.entries, n.era = 0, before.from, before.entries, before.era
	if n.head, err = tx.RevocationHead(ctx); err != nil {
		return err
	}
	if !before.known {
		n.from = max(0, n.head-1)
		n.entries, err = tx.Revocations(ctx, n.from, 1)
		return err
	}
	other := n.head < before.head
	if doubt && !other {
		other, err = before.contradicted(ctx, tx)
	}
	switch {
	case err != nil:
		return err
	case other:
		n.from, n.entries, n.era = n.head, nil, before.era+1
		return nil
	case n.head == before.head:
		return nil
	}
	fresh, err := tx.Revocations(ctx, before.head, logBatch)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	n.keep(fresh)
	return nil
}

func (n *seen) keep(fresh []Revocation) {
	if len(fresh) == logBatch { // and perhaps more
		n.from, n.entries = n.head, nil
		return
	}
	n.entries = append(n.entries, fresh...)
	if over := len(n.entries) - tailKept; over > 0 {
		n.from = n.entries[over-1].Seq
		n.entries = slices.Clone(n.entries[over:])
	}
}

// contradicted reports whether the store has something else where the newest entry was: it was put back to an earlier state
// and has grown again, while it could not be read. What has expired by now proves nothing, either way.
func (n seen) contradicted(ctx context.Context, tx Tx) (bool, error) {
	if len(n.entries) == 0 {
		return false, nil
	}
	newest := n.entries[len(n.entries)-1]
	if !tx.Now().Before(newest.Until) {
		return false, nil
	}
	there, err := tx.Revocations(ctx, newest.Seq-1, 1)
	if err != nil {
		return false, fmt.Errorf("compare the log: %w", err)
	}
	return len(there) == 0 || !there[0].same(newest), nil
}

func (r Revocation) same(other Revocation) bool {
	return r.Seq == other.Seq && r.Kind == other.Kind && r.ID == other.ID && r.At.Equal(other.At)
}

// after are the live entries past a position. It returns false when not all of them are kept.
func (n seen) after(position int64) ([]Revocation, bool) {
	if position < n.from {
		return nil, false
	}
	i, found := slices.BinarySearchFunc(n.entries, position, func(r Revocation, seq int64) int { return int(r.Seq - seq) })
	if found {
		i++
	}
	return n.entries[i:len(n.entries):len(n.entries)], true
}
