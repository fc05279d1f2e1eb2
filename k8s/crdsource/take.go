package crdsource

import (
	"context"
	"time"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/ledger"
)

const (
	// patience is how many times longer a change that takes objects away must stand still.
	patience = 10

	// restless bounds the wait for a cluster that is never quiet, in settle times.
	restless = 50
)

// take applies what the kinds hold whenever they have come to rest, until ctx ends.
func (s *Source) take(ctx context.Context) {
	resync := time.NewTicker(s.opts.Resync)
	defer resync.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var since, last time.Time // of the present unrest
	for {
		select {
		case <-ctx.Done():
			return
		case <-resync.C:
			timer.Reset(s.opts.Settle) // a look without a sign: it makes nothing restless
		case <-s.signs:
			last = time.Now()
			if since.IsZero() {
				since = last
			}
			if last.Sub(since) < restless*s.opts.Settle {
				timer.Reset(s.opts.Settle)
			}
		case <-timer.C:
			overdue := !since.IsZero() && time.Since(since) >= restless*s.opts.Settle
			if !overdue && s.early(time.Since(last)) {
				timer.Reset(s.opts.Settle)
				continue
			}
			since = time.Time{}
			s.refresh(ctx)
		}
	}
}

// early reports whether the present look would take objects away and hasn't stood still long enough for that.
func (s *Source) early(quiet time.Duration) bool {
	if quiet >= patience*s.opts.Settle {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.Removes(s.look())
}

// refresh applies the present look. Before it takes an object away it asks the API server whether the kind is still there:
// the deletion of a CRD deletes its objects first.
func (s *Source) refresh(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	look := s.look()
	if s.ledger.Removes(look) || look.Empty() {
		s.mu.Unlock() // asking takes as long as it takes
		for _, k := range s.kinds {
			k.ask(ctx)
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return
		}
		look = s.look()
	}
	s.apply(ctx, look)
}

// look is what the kinds hold now. A kind that can't be read is one unreadable file to the ledger: what came from it stays.
func (s *Source) look() ledger.Look {
	var l ledger.Look
	for _, k := range s.kinds {
		documents, err := k.documents()
		l.Documents = append(l.Documents, documents...)
		if err != nil {
			l.Unreadable = append(l.Unreadable, resource.Finding{File: k.place(), Message: err.Error()})
		}
	}
	return l
}

// apply takes a look into the ledger and tells everyone. The caller holds the lock.
func (s *Source) apply(ctx context.Context, look ledger.Look) {
	before := map[string]bool{}
	for _, f := range s.ledger.Findings() {
		before[f.String()] = true
	}
	changed := s.ledger.Apply(ctx, look)
	s.admitter.Release()
	s.readAt = time.Now()
	if changed {
		close(s.news)
		s.news = make(chan struct{})
	}
	s.tell(ctx, before, changed)
	poke(s.reports)
}

// tell logs and counts what is new, and nothing twice.
func (s *Source) tell(ctx context.Context, before map[string]bool, changed bool) {
	trouble := s.trouble()
	s.metrics.troubles(s.kinds)
	for _, f := range s.ledger.Findings() {
		if !before[f.String()] {
			s.log.WarnContext(ctx, "resource refused", "kind", f.Kind, "name", f.Name, "place", f.File, "field", f.Field, "problem", f.Message)
		}
	}
	accepted, rejected := s.ledger.Counts()
	snapshot := s.ledger.Snapshot()
	if changed {
		s.log.InfoContext(ctx, "configuration read", "snapshot", snapshot.Short(), "accepted", accepted, "rejected", rejected)
	}
	if changed || trouble != s.told {
		s.metrics.Applied(snapshot, accepted, rejected, trouble == "")
	}
	switch trouble {
	case s.told:
	case "":
		s.log.InfoContext(ctx, "configuration is read from the cluster again", "snapshot", snapshot.Short())
	default:
		s.log.WarnContext(ctx, "configuration can't be read whole from the cluster, what is in force stays", "error", trouble, "snapshot", snapshot.Short())
	}
	s.told = trouble
}
