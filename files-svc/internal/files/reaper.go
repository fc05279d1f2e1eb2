package files

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloakroom.dev/libs/fault"
)

// reapBatch bounds how many rows one transaction of the reaper touches, and so how long uploads wait for it.
const reapBatch = 200

// endOfTime is after every stamp, whatever the clock that made it.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Reap makes one pass: it fences writers that have died, ends what they left, takes bytes into the catalog that no row
// knows, and buries the dead. A crash at any point leaves work for the next pass and nothing else. Two passes leave no
// key in the store that no row knows. Passes of several processes do not harm each other.
func (s *Service) Reap(ctx context.Context) error {
	s.reaping.Lock()
	defer s.reaping.Unlock()
	began := s.opts.Now()
	err := s.reap(ctx)
	s.opts.Meter.PassEnded(s.opts.Now().Sub(began), err)
	if err != nil {
		return fmt.Errorf("reap: %w", err)
	}
	return nil
}

// stopped is the error of Options.At: it ends the whole pass.
type stopped struct{ error }

func (e stopped) Unwrap() error { return e.error }

func (s *Service) at(step string) error {
	if err := s.opts.At(step); err != nil {
		return stopped{err}
	}
	return nil
}

func (s *Service) reap(ctx context.Context) error {
	if err := s.at(StepReapBegin); err != nil {
		return err
	}
	var errs []error
	for _, part := range []func(context.Context) error{
		s.fenceDead, s.expire, s.purge, s.expireLinks, s.forgetReceipts, s.reapUploads, s.abandonLeft, s.search, s.bury, s.forget, s.trim, s.report, s.reportSoundness,
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := part(ctx)
		if errors.As(err, new(stopped)) {
			return err
		}
		if err != nil { // the parts do not build on each other: one that fails harms no other
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// expire moves files whose time has come to the trash.
func (s *Service) expire(ctx context.Context) error {
	return s.inBatches(ctx, "trashed", func(tx Tx) (int, error) {
		found, err := tx.DueFiles(ctx, DueQuery{ExpiredBefore: s.now(), Limit: reapBatch})
		if err != nil {
			return 0, err
		}
		return len(found), s.eachAccount(ctx, tx, found, func(o *Owner, f File) error {
			return s.trash(ctx, tx, o, f, s.now())
		})
	})
}

// purge empties the trash of what has been there for its time.
func (s *Service) purge(ctx context.Context) error {
	keep := s.opts.Policy().TrashRetention
	if keep <= 0 {
		return nil
	}
	return s.inBatches(ctx, "purged", func(tx Tx) (int, error) {
		found, err := tx.DueFiles(ctx, DueQuery{TrashedBefore: s.now().Add(-keep), Limit: eraseBatch})
		if err != nil {
			return 0, err
		}
		return len(found), s.eachAccount(ctx, tx, found, func(o *Owner, f File) error { return s.remove(ctx, tx, o, f) })
	})
}

// inBatches repeats a transaction until it finds nothing more to do, and tells the meter how much it did.
func (s *Service) inBatches(ctx context.Context, step string, fn func(tx Tx) (int, error)) error {
	for {
		n := 0
		err := s.catalog.Write(ctx, func(tx Tx) (err error) {
			n, err = fn(tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		if n == 0 {
			return nil
		}
		s.opts.Meter.Reaped(step, n)
	}
}

// maxFruitless is how many batches of which nothing could be deleted end a pass's burying: the store may be away.
const maxFruitless = 3

// bury brings dead blobs out of the store: marked first, so that a crash between here and there is found; then deleted;
// then a tombstone until nobody can still write under the id. What can't be deleted goes to the end of the line, and is tried
// again in the next pass: a bad sector, or a lock on an object, keeps nothing else.
func (s *Service) bury(ctx context.Context) error {
	failed := s.deleteDead(ctx)
	if errors.As(failed, new(stopped)) || ctx.Err() != nil {
		return failed
	}
	return errors.Join(failed, s.dropTombstones(ctx))
}

func (s *Service) deleteDead(ctx context.Context) error {
	var failed error // the first: there may be one for each blob
	tried := map[BlobID]bool{}
	for fruitless := 0; fruitless < maxFruitless; {
		marked, err := s.mark(ctx)
		if err != nil {
			return err
		}
		if err := s.at(StepReapMarked); err != nil {
			return err
		}
		gone, err := s.deleteMarked(ctx, tried)
		switch {
		case errors.As(err, new(stopped)), err != nil && ctx.Err() != nil:
			return err
		case err != nil && failed == nil:
			failed = err
		}
		if err != nil && gone == 0 {
			fruitless++
		}
		if marked == 0 && gone < reapBatch && err == nil {
			break
		}
	}
	return failed
}

func (s *Service) mark(ctx context.Context) (n int, err error) {
	before := s.now().Add(-max(0, s.opts.RestoreHorizon))
	err = s.move(ctx, BlobDead, before, BlobDeleting, &n)
	return n, err
}

// deleteMarked takes one batch of marked blobs out of the store, but for those this pass has tried in vain. Those of a pass that
// crashed come first.
func (s *Service) deleteMarked(ctx context.Context, tried map[BlobID]bool) (n int, err error) {
	var ids []BlobID
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		rows, err := tx.BlobsIn(ctx, BlobDeleting, endOfTime, reapBatch)
		ids = ids[:0]
		for _, row := range rows {
			if !tried[row.ID] {
				ids = append(ids, row.ID)
			}
		}
		return err
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	gone, failed := s.blobs.Delete(ctx, ids)
	if err := s.at(StepReapDeleted); err != nil {
		return 0, err
	}
	if err := s.raiseTombstones(ctx, gone); err != nil {
		return 0, err
	}
	if failed == nil && len(gone) < len(ids) {
		failed = errors.New("the store kept some and did not say why")
	}
	if failed != nil {
		kept := slices.DeleteFunc(ids, func(id BlobID) bool { return slices.Contains(gone, id) })
		for _, id := range kept {
			tried[id] = true
		}
		return len(gone), errors.Join(fmt.Errorf("delete blobs: %w", failed), s.postpone(ctx, kept))
	}
	return len(gone), s.at(StepReapBuried)
}

// postpone puts blobs to the end of the line of those to be deleted.
func (s *Service) postpone(ctx context.Context, ids []BlobID) error {
	return s.catalog.Write(ctx, func(tx Tx) error {
		for _, id := range ids {
			row, err := tx.Blob(ctx, id)
			if errors.Is(err, fault.Of(fault.NotFound)) || (err == nil && row.State != BlobDeleting) {
				continue // another process was luckier
			}
			if err != nil {
				return err
			}
			row.ChangedAt = s.now()
			if err := tx.UpdateBlob(ctx, row, BlobDeleting); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) raiseTombstones(ctx context.Context, ids []BlobID) error {
	n := 0
	err := s.catalog.Write(ctx, func(tx Tx) error {
		n = 0
		for _, id := range ids {
			row, err := tx.Blob(ctx, id)
			if errors.Is(err, fault.Of(fault.NotFound)) || (err == nil && row.State != BlobDeleting) {
				continue // another process was quicker
			}
			if err != nil {
				return err
			}
			row.State, row.ChangedAt = BlobTombstone, s.now()
			if err := tx.UpdateBlob(ctx, row, BlobDeleting); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("raise tombstones: %w", err)
	}
	s.opts.Meter.Reaped(string(BlobTombstone), n)
	return nil
}

// move brings one batch of blobs from a state they have been in since before a moment to the next.
func (s *Service) move(ctx context.Context, from BlobState, before time.Time, to BlobState, n *int) error {
	err := s.catalog.Write(ctx, func(tx Tx) error {
		rows, err := tx.BlobsIn(ctx, from, before, reapBatch)
		*n = len(rows)
		if err != nil {
			return err
		}
		for _, row := range rows {
			row.State, row.ChangedAt = to, s.now()
			if err := tx.UpdateBlob(ctx, row, from); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("move %s blobs to %s: %w", from, to, err)
	}
	s.opts.Meter.Reaped(string(to), *n)
	return nil
}

// dropTombstones removes the rows nobody can need any more.
func (s *Service) dropTombstones(ctx context.Context) error {
	before := s.now().Add(-s.opts.TombstoneFor)
	err := s.inBatches(ctx, "gone", func(tx Tx) (int, error) {
		rows, err := tx.BlobsIn(ctx, BlobTombstone, before, reapBatch)
		for _, row := range rows {
			if err := tx.DeleteBlob(ctx, row.ID, BlobTombstone); err != nil {
				return 0, err
			}
		}
		return len(rows), err
	})
	if err != nil {
		return err
	}
	return s.at(StepReapGone)
}

// keepEvents is how long the feed of changes goes back.
const keepEvents = 30 * 24 * time.Hour

// trim removes old events, so that the outbox stays bounded whether or not anybody reads it.
func (s *Service) trim(ctx context.Context) error {
	before := s.now().Add(-keepEvents)
	return s.inBatches(ctx, "event", func(tx Tx) (int, error) {
		n, err := tx.TrimEvents(ctx, before, reapBatch)
		return int(n), err
	})
}

// report tells the meter where the blobs stand.
func (s *Service) report(ctx context.Context) error {
	var stats map[BlobState]BlobStat
	var uploads UploadStats
	err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		if stats, err = tx.BlobStats(ctx); err == nil {
			uploads, err = tx.UploadStats(ctx)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("count blobs and uploads: %w", err)
	}
	s.opts.Meter.Blobs(stats)
	s.opts.Meter.OpenUploads(uploads)
	return nil
}
