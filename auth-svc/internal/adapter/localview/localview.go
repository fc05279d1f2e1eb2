// Package localview keeps the service's own view of the revocation log true, so that it refuses a token it has revoked
// from the very next request on.
//
// It stands between the core and its store. What a transaction appends to the log is applied to the view when the
// transaction has committed, before the core hears of it: whoever got the answer to a logout can't use the token here any
// more. What other replicas append, and what was there at start, comes by reading the log once a second; the same
// reading proves the view fresh, so a store that can't be read makes the view stale and the verifier refuse.
package localview

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/token"

	"cloakroom.dev/auth-svc/internal/identity"
)

const (
	every       = time.Second
	retry       = 150 * time.Millisecond // while the log can't be read
	loadTimeout = 2 * time.Second
	pageSize    = 1000
	// mendEvery is how often a view that could not hold an entry is made anew: that entry may have expired meanwhile.
	mendEvery = 10 * time.Second
)

// Store is an identity.Store that tells the view what its transactions revoke.
type Store struct {
	identity.Store
	view *token.View
	log  *slog.Logger
	acks *ackTimes
	grew chan struct{} // tells Run to look before its time

	// Used by Load alone, one call at a time.
	read int64     // position up to which the log has been read
	anew time.Time // when the view was last made anew because it was incomplete
}

var _ identity.Store = (*Store)(nil)

// New wraps store. The view is empty, and so not fresh, until the first Load.
func New(store identity.Store, view *token.View, log *slog.Logger, reg prometheus.Registerer) *Store {
	return &Store{Store: store, view: view, log: log, acks: newAckTimes(reg), grew: make(chan struct{}, 1)}
}

// InTx runs fn as the wrapped store does, and applies what it revoked when that has committed.
func (s *Store) InTx(ctx context.Context, fn func(tx identity.Tx) error) error {
	return s.write(ctx, s.Store.InTx, fn)
}

// InTxRelaxed does the same with a commit that need not be durable yet.
func (s *Store) InTxRelaxed(ctx context.Context, fn func(tx identity.Tx) error) error {
	return s.write(ctx, s.Store.InTxRelaxed, fn)
}

func (s *Store) write(ctx context.Context, write func(context.Context, func(identity.Tx) error) error, fn func(identity.Tx) error) error {
	var appended []identity.Revocation
	err := write(ctx, func(tx identity.Tx) error {
		appended = appended[:0] // fn may run more than once
		return fn(recorder{tx, &appended})
	})
	if err != nil {
		return err // a commit whose answer was lost comes with the next Load
	}
	identity.NoteCaused(ctx, appended)
	for _, r := range appended {
		s.view.Apply(entry(r))
		s.acks.committed(r.Seq, time.Now())
	}
	return nil
}

// recorder notes what a transaction appends to the log.
type recorder struct {
	identity.Tx
	appended *[]identity.Revocation
}

func (r recorder) AppendRevocation(ctx context.Context, e identity.Revocation) (int64, error) {
	seq, err := r.Tx.AppendRevocation(ctx, e)
	if err == nil {
		e.Seq = seq
		*r.appended = append(*r.appended, e)
	}
	return seq, err
}

// Load takes in what is new in the log and makes the view fresh. Calls must not overlap.
func (s *Store) Load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	made := time.Now()
	if s.view.Incomplete() && made.Sub(s.anew) >= mendEvery {
		s.anew, s.read = made, 0
		s.view.Reset()
	}
	var head int64
	err := s.View(ctx, func(tx identity.Tx) (err error) {
		if head, err = tx.RevocationHead(ctx); err != nil {
			return err
		}
		if head < s.read { // an older database was put in place: what we read may never have happened
			s.view.Reset()
			s.read = 0
		}
		return s.apply(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("read the revocation log: %w", err)
	}
	s.read = head
	s.view.Heard(head, made)
	return nil
}

func (s *Store) apply(ctx context.Context, tx identity.Tx) error {
	for after := s.read; ; {
		page, err := tx.Revocations(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, r := range page {
			s.view.Apply(entry(r))
			after, s.read = r.Seq, r.Seq // a reading that is cut goes on here
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// Run keeps the view fresh until ctx ends, through whatever becomes of the store.
func (s *Store) Run(ctx context.Context) error {
	broken := false
	for { // at once: whatever else had to start since New may have taken longer than a view stays fresh
		switch err := s.Load(ctx); {
		case ctx.Err() != nil:
		case err != nil && !broken:
			broken = true
			s.log.ErrorContext(ctx, "revocation log can't be read, access tokens will be refused", "error", err.Error())
		case err == nil && broken:
			broken = false
			s.log.InfoContext(ctx, "revocation log can be read again")
		}
		wait := every
		if broken {
			wait = retry
		}
		tick := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		case <-s.grew:
			tick.Stop()
		}
	}
}

// LogGrew tells Run that another replica has appended to the log, or may have.
func (s *Store) LogGrew() {
	select {
	case s.grew <- struct{}{}:
	default: // it will look in any case
	}
}

// Ready returns nil while the view is fresh.
func (s *Store) Ready(context.Context) error { return s.view.Fresh() }

func entry(r identity.Revocation) token.Entry {
	return token.Entry{Seq: r.Seq, Kind: token.Kind(r.Kind), ID: r.ID, At: r.At, Until: r.Until, Status: string(r.Status)}
}
