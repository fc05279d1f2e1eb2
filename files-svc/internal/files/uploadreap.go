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

// reapUploads forgets uploads whose time is over, and removes bytes that no open upload and no part needs.
func (s *Service) reapUploads(ctx context.Context) error {
	if err := s.expireUploads(ctx); err != nil {
		return fmt.Errorf("expire uploads: %w", err)
	}
	var strays []UploadID
	err := s.blobs.WalkPartials(ctx, func(id UploadID) error { // the row comes before the bytes: ask for it after
		needed, err := s.needsPartial(ctx, id)
		if err == nil && !needed && len(strays) < maxLeft {
			strays = append(strays, id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("search uploads: %w", err)
	}
	for _, id := range strays {
		if err := s.removeStray(ctx, id); err != nil {
			return fmt.Errorf("remove bytes of an upload: %w", err)
		}
	}
	return nil
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
	s.opts.Meter.Reaped("partial", 1)
	return s.blobs.RemovePartials(ctx, []UploadID{id})
}

func (s *Service) expireUploads(ctx context.Context) error {
	due := DueUploads{ExpiredBefore: s.now(), Limit: reapBatch}
	return s.eachUpload(ctx, due, func(up Upload) error {
		release, _ := s.uploads.try(up.ID, nil)
		if release == nil {
			return nil // it lives
		}
		defer release()
		err := s.dropUpload(ctx, up.ID, func(now Upload) bool { return !now.ExpiresAt.After(due.ExpiredBefore) })
		if errors.Is(err, fault.Of(fault.NotFound)) {
			return nil
		}
		s.opts.Meter.Reaped("upload", 1)
		return err
	})
}

// eachUpload walks all uploads that are due, in batches.
func (s *Service) eachUpload(ctx context.Context, due DueUploads, fn func(Upload) error) error {
	for {
		var found []Upload
		err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
			found, err = tx.DueUploads(ctx, due)
			return err
		})
		if err != nil {
			return err
		}
		for _, up := range found {
			if err := fn(up); err != nil {
				return err
			}
			due.After = up.ID
		}
		if len(found) < due.Limit {
			return nil
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
