package files

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
)

// defaultUploadExpiry is how long an upload waits for its next chunk when no policy says it.
const defaultUploadExpiry = 24 * time.Hour

// The named steps of Options.At on the way of a resumable upload, before those of any upload from StepDurable on.
const (
	StepUploadCreated = "resumable.created" // the row is durable, nobody has been answered
	StepUploadWritten = "resumable.written" // some bytes are written, nothing synced
	StepUploadSynced  = "resumable.synced"  // the bytes are durable, the row doesn't know
	StepUploadSaved   = "resumable.saved"   // the offset is durable, nobody has been answered
)

// newUploadID makes 130 random bits.
func newUploadID() string { return rand.Text() }

func (s *Service) uploadExpiry() time.Duration {
	if d := s.opts.Policy().UploadExpiry; d > 0 {
		return d
	}
	return defaultUploadExpiry
}

// reapUploads forgets uploads whose time is over, and removes bytes that no open upload and no part needs. One that can't be
// removed keeps no other; it is tried again in the next pass.
func (s *Service) reapUploads(ctx context.Context) error {
	failed := s.expireUploads(ctx)
	err := s.blobs.WalkPartials(ctx, func(id UploadID) error { // the row comes before the bytes: ask for it after
		if needed, err := s.needsPartial(ctx, id); err != nil || needed {
			return err
		}
		if err := s.removeStray(ctx, id); err != nil && failed == nil {
			failed = fmt.Errorf("remove bytes of an upload: %w", err)
		}
		return ctx.Err()
	})
	if err != nil {
		return errors.Join(failed, fmt.Errorf("search uploads: %w", err))
	}
	return failed
}

func (s *Service) needsPartial(ctx context.Context, id UploadID) (needed bool, err error) {
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		up, err := tx.Upload(ctx, id)
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return nil
		}
		needed = err == nil && (up.State == UploadOpen || up.Part && up.State == UploadDone)
		return err
	})
	return needed, err
}

// removeStray leaves alone what somebody works on.
func (s *Service) removeStray(ctx context.Context, id UploadID) error {
	release, _ := s.uploads.try(id, nil)
	if release == nil {
		return nil
	}
	defer release()
	if err := s.blobs.RemovePartials(ctx, []UploadID{id}); err != nil {
		return err
	}
	s.opts.Meter.Reaped("partial", 1)
	return nil
}

func (s *Service) expireUploads(ctx context.Context) error {
	due := DueUploads{ExpiredBefore: s.now(), Limit: reapBatch}
	return s.eachUpload(ctx, due, func(up Upload) error {
		release, _ := s.uploads.try(up.ID, nil)
		if release == nil {
			return nil // it lives
		}
		defer release()
		held, err := s.heldUpload(ctx, up.ID)
		if held {
			return nil // likewise
		}
		if err == nil {
			err = s.dropUpload(ctx, up.ID, func(now Upload) bool { return !now.ExpiresAt.After(due.ExpiredBefore) })
		}
		switch {
		case errors.Is(err, fault.Of(fault.NotFound)):
			return nil
		case err != nil:
			return fmt.Errorf("expire upload %s: %w", up.ID, err)
		}
		s.opts.Meter.Reaped("upload", 1)
		return nil
	})
}

// eachUpload walks all uploads that are due, in batches. One for which fn fails keeps no other; the first error is returned.
func (s *Service) eachUpload(ctx context.Context, due DueUploads, fn func(Upload) error) (failed error) {
	for {
		var found []Upload
		err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
			found, err = tx.DueUploads(ctx, due)
			return err
		})
		if err != nil {
			return errors.Join(failed, fmt.Errorf("find uploads: %w", err))
		}
		for _, up := range found {
			if err := fn(up); err != nil && failed == nil {
				failed = err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			due.After = up.ID
		}
		if len(found) < due.Limit {
			return failed
		}
	}
}

// eraseUploads forgets all uploads of a person, those under way too.
func (s *Service) eraseUploads(ctx context.Context, owner OwnerID) error {
	return s.eachUpload(ctx, DueUploads{Owner: owner, Limit: eraseBatch}, func(up Upload) error {
		release, err := s.uploads.take(ctx, up.ID, nil)
		if err != nil {
			return err
		}
		defer release()
		err = s.dropUpload(ctx, up.ID, func(Upload) bool { return true })
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return nil
		}
		return err
	})
}
