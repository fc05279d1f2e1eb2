package files

import (
	"context"
	"sync"
	"time"
)

// linkLookEvery is how often the outbox is read for what ends downloads by link; only while there are any.
const linkLookEvery = 250 * time.Millisecond

// linkWatch ends downloads by link when an event says that their link, file or owner is gone. Every process reads the
// same outbox, so it does not matter which of them did it.
type linkWatch struct {
	mu      sync.Mutex
	running map[*linkDownload]struct{}
	read    int64 // events up to here have been looked at
}

type linkDownload struct {
	link  Link
	since int64 // the newest event when the download was allowed
	cut   context.CancelCauseFunc
}

func newLinkWatch() *linkWatch { return &linkWatch{running: map[*linkDownload]struct{}{}} }

// watch puts a download under watch. What has happened since it was allowed counts, looked at already or not.
func (w *linkWatch) watch(ctx context.Context, l Link, since int64) (context.Context, func()) {
	under, cut := context.WithCancelCause(ctx)
	d := &linkDownload{link: l, since: since, cut: cut}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.running) == 0 || since < w.read {
		w.read = since
	}
	w.running[d] = struct{}{}
	return under, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.running, d)
		cut(context.Canceled)
	}
}

// next is where to read on; ok is false when nothing is watched.
func (w *linkWatch) next() (after int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.read, len(w.running) > 0
}

// hear applies events that were read behind after.
func (w *linkWatch) hear(after int64, events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		for d := range w.running {
			if e.Seq > d.since && e.ends(d.link) {
				d.cut(errNoLink())
			}
		}
	}
	if w.read == after && len(events) > 0 { // else a download that began earlier has joined: read again from there
		w.read = events[len(events)-1].Seq
	}
}

// ends reports whether an event ends downloads by a link.
func (e Event) ends(l Link) bool {
	switch e.Kind {
	case LinkRevoked:
		return e.Link == l.ID
	case FileTrashed, FileDeleted:
		return e.File == l.File
	case OwnerErased:
		return e.Owner == l.Owner
	default:
		return false
	}
}

// bar ends the downloads whose owner may not be here. Who can't be asked about goes on: the next look will.
func (w *linkWatch) bar(barred func(OwnerID) (bool, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range w.running {
		if out, err := barred(d.link.Owner); err == nil && out {
			d.cut(errNoLink())
		}
	}
}

// lookAtLinks reads what is new in the outbox and ends what it ends.
func (s *Service) lookAtLinks(ctx context.Context) error {
	s.links.bar(s.opts.Barred)
	for {
		after, watching := s.links.next()
		if !watching {
			return nil
		}
		var events []Event
		err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
			events, err = tx.EventsAfter(ctx, after, reapBatch)
			return err
		})
		if err != nil {
			return err
		}
		s.links.hear(after, events)
		if len(events) < reapBatch {
			return nil
		}
	}
}
