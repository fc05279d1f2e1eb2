package files

import (
	"context"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
)

// settle is the one transaction that makes a durable blob a file's content: fence, rights and quota are asked again,
// fn writes file, version and event, the owner's sums follow. The answer may be given once it has returned nil.
func (u *upload) settle(ctx context.Context, fn func(tx Tx, o *Owner) error) error {
	s := u.s
	if err := u.scan(ctx); err != nil {
		return fmt.Errorf("scan upload: %w", err)
	}
	ran, refused := false, error(nil)
	err := s.catalog.Write(ctx, func(tx Tx) error {
		ran, refused = true, u.commit(ctx, tx, fn)
		return refused
	})
	if err == nil {
		u.hasRow, u.kept = false, false // now the catalog's
		return u.at(StepSettled)
	}
	if ran && refused == nil {
		// The rows may be there or not. Whoever deleted the bytes now could lose an acknowledged file of a moment later:
		// only the reaper, which asks the rows, may.
		s.log.ErrorContext(ctx, "outcome of an upload's commit is unknown", "blob", u.id, "error", err.Error())
		if u.hasRow {
			u.writer.leave(u.id)
		}
		u.hasRow, u.kept = false, false
	}
	if !ran && ctx.Err() != nil { // given up before it began: the cause says more
		err = context.Cause(ctx)
	}
	return fmt.Errorf("commit upload: %w", err)
}

func (u *upload) commit(ctx context.Context, tx Tx, fn func(tx Tx, o *Owner) error) error {
	s := u.s
	if ctx.Err() != nil { // revoked while the bytes were made durable
		return context.Cause(ctx)
	}
	if err := s.allow(ctx, u.owner, u.action); err != nil {
		return err
	}
	if err := s.opts.Policy().checkSize(u.size); err != nil {
		return err
	}
	o, err := u.account(ctx, tx)
	if err != nil {
		return err
	}
	if err := u.enliven(ctx, tx); err != nil {
		return err
	}
	before := o
	o.Reserved -= u.reserved
	if err := fn(tx, &o); err != nil {
		return err
	}
	if err := s.checkQuota(o, o.Bytes-before.Bytes); err != nil {
		return err
	}
	if err := s.checkVersions(o, o.Versions-before.Versions); err != nil {
		return err
	}
	if err := tx.SaveOwner(ctx, o); err != nil {
		return err
	}
	return u.at(StepSettling)
}

// enliven brings the blob's row to live. A conflict means that the reaper has found the bytes and taken them for a dead
// writer's.
func (u *upload) enliven(ctx context.Context, tx Tx) error {
	row := Blob{ID: u.id, Owner: u.owner, State: BlobLive, Size: u.size, SHA256: u.digest, ChangedAt: u.s.now(), Flaw: u.flaw}
	row.VerifiedAt = row.ChangedAt
	var err error
	if u.hasRow {
		err = tx.UpdateBlob(ctx, row, BlobPending)
	} else {
		err = tx.InsertBlob(ctx, row)
	}
	return asFenced(err)
}

// end cleans up after an upload that was not settled, and lets the reaper have the rest. Calling it after settle only
// does the latter.
func (u *upload) end(ctx context.Context) {
	if u.writer == nil || u.stopped {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	defer u.writer.end(u.id)
	if u.unsure {
		u.writer.expectLate(u.id, u.s.opts.Now().Add(lateFor))
	}
	if u.sink != nil && !u.kept {
		u.sink.Abort()
	}
	removed := true
	if u.kept {
		gone, err := u.s.blobs.Delete(ctx, []BlobID{u.id})
		removed = err == nil && len(gone) == 1
	}
	if u.hasRow {
		u.release(ctx, removed)
	}
}

// release gives the reservation back. Bytes that could not be removed leave a dead row to the reaper; when even that
// fails, the row stays pending until the epoch is fenced.
func (u *upload) release(ctx context.Context, removed bool) {
	s := u.s
	err := s.catalog.Write(ctx, func(tx Tx) error {
		row, err := tx.Blob(ctx, u.id)
		if err != nil {
			return err
		}
		return s.abandon(ctx, tx, row, removed)
	})
	if err != nil && !errors.Is(err, fault.Of(fault.Conflict)) && !errors.Is(err, fault.Of(fault.NotFound)) {
		s.log.WarnContext(ctx, "reservation of a failed upload is left to the reaper", "blob", u.id, "error", err.Error())
		u.writer.leave(u.id)
	}
}

// abandon ends a pending blob: its reservation is given back, and its row is dead, or gone when its bytes are.
func (s *Service) abandon(ctx context.Context, tx Tx, row Blob, removed bool) error {
	o, err := tx.Owner(ctx, row.Owner)
	if err != nil {
		return err
	}
	o.Reserved -= row.Reserved
	if removed {
		err = tx.DeleteBlob(ctx, row.ID, BlobPending)
	} else {
		row.State, row.Reserved, row.ChangedAt = BlobDead, 0, s.now()
		err = tx.UpdateBlob(ctx, row, BlobPending)
	}
	if err != nil {
		return err
	}
	return tx.SaveOwner(ctx, o)
}
