package files

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
)

// sights is what this process has seen of other writers, by its own clock: clocks of several machines are never
// compared.
type sights struct {
	seen     map[EpochID]sighting
	searched map[EpochID]bool // fenced epochs this process has searched once
}

type sighting struct {
	beats int64
	since time.Time
}

func newSights() sights {
	return sights{seen: map[EpochID]sighting{}, searched: map[EpochID]bool{}}
}

// fenceDead fences the epochs of writers whose heart has not beaten for a lease.
func (s *Service) fenceDead(ctx context.Context) error {
	epochs, err := s.epochs(ctx)
	if err != nil {
		return err
	}
	s.sights.keep(epochs)
	own := s.liveWriter()
	for _, e := range epochs {
		if e.State != EpochOpen || (own != nil && own.epoch == e.ID) {
			continue
		}
		now := s.opts.Now()
		last, known := s.sights.seen[e.ID]
		if !known || last.beats != e.Beats {
			s.sights.seen[e.ID] = sighting{beats: e.Beats, since: now}
			continue
		}
		if now.Sub(last.since) < s.opts.LeaseTTL {
			continue
		}
		if err := s.fence(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// keep forgets epochs that are no more.
func (v sights) keep(epochs []Epoch) {
	states := make(map[EpochID]EpochState, len(epochs))
	for _, e := range epochs {
		states[e.ID] = e.State
	}
	for id := range v.seen {
		if states[id] != EpochOpen {
			delete(v.seen, id)
		}
	}
	for id := range v.searched {
		if states[id] != EpochFenced {
			delete(v.searched, id)
		}
	}
}

func (s *Service) epochs(ctx context.Context) (epochs []Epoch, err error) {
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		epochs, err = tx.Epochs(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list epochs: %w", err)
	}
	return epochs, nil
}

// fence ends an epoch whose writer is dead, unless it has just shown life.
func (s *Service) fence(ctx context.Context, seen Epoch) error {
	err := s.catalog.Write(ctx, func(tx Tx) error {
		e, err := tx.Epoch(ctx, seen.ID)
		if err != nil {
			return err
		}
		if e.Beats != seen.Beats {
			return fault.New(fault.Conflict, "the writer lives")
		}
		e.State, e.ChangedAt = EpochFenced, s.now()
		return tx.UpdateEpoch(ctx, e, EpochOpen)
	})
	switch {
	case err == nil:
		s.opts.Meter.Reaped("epoch_fenced", 1)
		s.log.InfoContext(ctx, "epoch of a dead writer fenced", "epoch", seen.ID)
		return nil
	case errors.Is(err, fault.Of(fault.Conflict)), errors.Is(err, fault.Of(fault.NotFound)):
		return nil
	default:
		return fmt.Errorf("fence epoch: %w", err)
	}
}

// abandonLeft ends pending blobs whose writers are dead, and those our own uploads could not clean up.
func (s *Service) abandonLeft(ctx context.Context) error {
	epochs, err := s.epochs(ctx)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		if e.State != EpochFenced {
			continue
		}
		err := s.inBatches(ctx, string(BlobDead), func(tx Tx) (int, error) {
			rows, err := tx.PendingBlobs(ctx, e.ID, reapBatch)
			for _, row := range rows {
				if err := s.abandon(ctx, tx, row, false); err != nil {
					return 0, err
				}
			}
			return len(rows), err
		})
		if err != nil {
			return err
		}
	}
	if err := s.abandonOwn(ctx); err != nil {
		return err
	}
	return s.at(StepReapAbandoned)
}

func (s *Service) abandonOwn(ctx context.Context) error {
	own := s.liveWriter()
	if own == nil {
		return nil
	}
	for _, id := range own.leftovers() {
		n := 0
		err := s.catalog.Write(ctx, func(tx Tx) error {
			row, err := tx.Blob(ctx, id)
			if err != nil || row.State != BlobPending {
				return err
			}
			n = 1
			return s.abandon(ctx, tx, row, false)
		})
		if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
			return fmt.Errorf("abandon blob: %w", err)
		}
		own.done(id)
		s.opts.Meter.Reaped(string(BlobDead), n)
	}
	return nil
}

// search takes bytes that no row knows into the catalog, as dead blobs. From then on no late commit can claim them, and
// they are buried like others, after the horizon: a catalog that was restored too old, or is the wrong one, destroys
// nothing at once.
func (s *Service) search(ctx context.Context) error {
	stored, err := s.blobs.Epochs(ctx)
	if err != nil {
		return fmt.Errorf("list epochs in the store: %w", err)
	}
	if err := s.adoptEpochs(ctx, stored); err != nil {
		return err
	}
	epochs, err := s.epochs(ctx)
	if err != nil {
		return err
	}
	own := s.liveWriter()
	var failed error // the first: a folder that can't be read keeps no other from being searched
	for _, e := range epochs {
		var err error
		switch {
		case own != nil && own.epoch == e.ID:
			err = s.searchOwn(ctx, own)
		case e.State == EpochFenced:
			err = s.searchFenced(ctx, e)
		}
		switch {
		case errors.As(err, new(stopped)), err != nil && ctx.Err() != nil:
			return err
		case err != nil && failed == nil:
			failed = fmt.Errorf("search the store: %w", err)
		}
	}
	return errors.Join(failed, s.at(StepReapAdopted))
}

// adoptEpochs gives a row to epochs only the store knows, fenced.
func (s *Service) adoptEpochs(ctx context.Context, stored []EpochID) error {
	known, err := s.epochs(ctx)
	if err != nil {
		return err
	}
	ids := make(map[EpochID]bool, len(known))
	for _, e := range known {
		ids[e.ID] = true
	}
	for _, id := range stored {
		if ids[id] {
			continue
		}
		row := Epoch{ID: id, State: EpochFenced, Settled: 0, ChangedAt: s.now()}
		err := s.catalog.Write(ctx, func(tx Tx) error { return tx.InsertEpoch(ctx, row) })
		if err != nil && !errors.Is(err, fault.Of(fault.Conflict)) {
			return fmt.Errorf("adopt epoch: %w", err)
		}
		s.log.WarnContext(ctx, "store has bytes of an unknown writer", "epoch", id)
	}
	return nil
}

// searchOwn looks only at what has ended since the last pass, and at what the store may have got late.
func (s *Service) searchOwn(ctx context.Context, w *writer) error {
	final := w.final(s.opts.Now())
	horizon := w.horizon() // before the walk: what ends during it is the next pass's
	err := s.adoptKeys(ctx, w.epoch, w.settledBelow(), func(id BlobID) bool {
		_, seq, _ := id.Split()
		return seq < horizon && !w.isBusy(id)
	})
	if err != nil {
		return err
	}
	w.settle(final)
	return nil
}

// searchFenced looks at a dead writer's keys once, and once more when no zombie can still arrive; then the epoch is
// closed.
func (s *Service) searchFenced(ctx context.Context, e Epoch) error {
	last := s.now().Sub(e.ChangedAt) >= s.opts.TombstoneFor
	if s.sights.searched[e.ID] && !last {
		return nil
	}
	err := s.adoptKeys(ctx, e.ID, e.Settled, func(BlobID) bool { return true })
	if err != nil {
		return err
	}
	s.sights.searched[e.ID] = true
	if !last {
		return nil
	}
	e.State, e.ChangedAt = EpochClosed, s.now()
	err = s.catalog.Write(ctx, func(tx Tx) error { return tx.UpdateEpoch(ctx, e, EpochFenced) })
	if errors.Is(err, fault.Of(fault.Conflict)) {
		return nil
	}
	return err
}

// adoptKeys walks an epoch's keys and gives a dead row to each that has none and that mine accepts.
func (s *Service) adoptKeys(ctx context.Context, epoch EpochID, from int64, mine func(BlobID) bool) error {
	batch := make([]BlobID, 0, reapBatch)
	flush := func() error {
		err := s.adopt(ctx, batch)
		batch = batch[:0]
		return err
	}
	err := s.blobs.Walk(ctx, epoch, from, func(id BlobID) error {
		if !mine(id) {
			return nil
		}
		if batch = append(batch, id); len(batch) == reapBatch {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// adopt asks the rows first, which costs uploads nothing, and writes only for keys without one. It asks for all at once: a busy
// minute has hundreds of thousands of keys.
func (s *Service) adopt(ctx context.Context, ids []BlobID) error {
	if len(ids) == 0 {
		return nil
	}
	var known map[BlobID]bool
	err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		known, err = tx.KnownBlobs(ctx, ids)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if known[id] {
			continue
		}
		row := Blob{ID: id, State: BlobDead, ChangedAt: s.now()}
		err := s.catalog.Write(ctx, func(tx Tx) error { return tx.InsertBlob(ctx, row) })
		switch {
		case errors.Is(err, fault.Of(fault.Conflict)): // its row came meanwhile
		case err != nil:
			return err
		default:
			s.opts.Meter.Reaped("orphan", 1)
		}
	}
	return nil
}

// forget drops epochs of which nothing is left. One that can't be dropped keeps no other.
func (s *Service) forget(ctx context.Context) (failed error) {
	epochs, err := s.epochs(ctx)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		if e.State != EpochClosed {
			continue
		}
		if err := s.forgetEpoch(ctx, e.ID); err != nil && failed == nil {
			failed = fmt.Errorf("forget epoch %s: %w", e.ID, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return failed
}

func (s *Service) forgetEpoch(ctx context.Context, id EpochID) error {
	used := false
	err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		used, err = tx.EpochHasBlobs(ctx, id)
		return err
	})
	if err != nil || used {
		return err
	}
	if err := s.blobs.Forget(ctx, id); err != nil {
		return err
	}
	return s.catalog.Write(ctx, func(tx Tx) error { return tx.DeleteEpoch(ctx, id) })
}
