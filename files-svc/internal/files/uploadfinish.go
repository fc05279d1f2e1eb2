package files

import (
	"context"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
)

// finishUpload makes a file of an upload that has all of its bytes. From here on it is an upload like any other: its
// bytes get a blob id under the writer's epoch, and one transaction makes them a file, settles the quota and marks the
// upload done. A crash before that leaves the upload as it was, to be finished by whoever asks for it next.
func (s *Service) finishUpload(ctx context.Context, up *Upload) (err error) {
	u := upload{s: s, owner: up.Owner, action: "create", declared: up.Offset, size: up.Offset, reserved: up.Reserved}
	defer s.measure(ctx, &u, s.opts.Now(), &err)
	if err := s.checkWhole(ctx, &u, up); err != nil {
		return err
	}
	f, err := s.newFile(ctx, up.Owner, up.newFile())
	if err != nil {
		return err
	}
	if u.writer, err = s.currentWriter(ctx); err != nil {
		return err
	}
	u.id = u.writer.begin()
	defer u.end(ctx)
	if err := s.blobs.Promote(ctx, up.partial(), u.id); err != nil {
		u.unsure = true
		return s.lostPartial(ctx, *up, err)
	}
	u.kept = true
	if err := u.at(StepDurable); err != nil {
		return err
	}
	done := *up
	done.State, done.File, done.Reserved, done.Hash, done.Parts = UploadDone, f.ID, 0, nil, nil
	done.Revision++
	err = u.settle(ctx, func(tx Tx, o *Owner) error {
		if err := tx.UpdateUpload(ctx, done); err != nil {
			return asTakenOver(err)
		}
		if err := s.consumeParts(ctx, tx, o, *up); err != nil {
			return err
		}
		if err := s.checkNew(ctx, tx, up.NewName, f); err != nil {
			return err
		}
		made := u.firstVersion(f)
		if err := tx.InsertFile(ctx, made); err != nil {
			return err
		}
		o.Files++
		return u.addVersion(ctx, tx, o, made, FileCreated)
	})
	if err != nil {
		return err
	}
	*up = done
	s.removePartials(ctx, append([]UploadID{up.ID}, up.Joins...)...)
	return nil
}

func asTakenOver(err error) error {
	if errors.Is(err, fault.Of(fault.Conflict)) {
		return errTakenOver
	}
	return err
}

// checkWhole compares the digest that was announced. An upload that has another can never be right: it is dropped.
func (s *Service) checkWhole(ctx context.Context, u *upload, up *Upload) error {
	h, err := resumeHash(up.Hash)
	if err != nil {
		return err
	}
	h.Sum(u.digest[:0])
	if up.Expected == nil || *up.Expected == u.digest {
		return nil
	}
	if err := s.dropUpload(ctx, up.ID, func(now Upload) bool { return now.Revision == up.Revision }); err != nil {
		return err
	}
	return fault.New(fault.DigestMismatch, "the content does not have the digest that was announced")
}

// removePartials forgets bytes nobody needs any more. What can't be removed is found by the reaper.
func (s *Service) removePartials(ctx context.Context, ids ...UploadID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if err := s.blobs.RemovePartials(ctx, ids); err != nil {
		s.log.WarnContext(ctx, "bytes of an upload are left to the reaper", "upload", ids[0], "error", err.Error())
	}
}

// dropUpload forgets an upload that still is what the caller takes it for, with its reservation and its bytes. The caller
// holds its lock.
func (s *Service) dropUpload(ctx context.Context, id UploadID, still func(Upload) bool) error {
	err := s.catalog.Write(ctx, func(tx Tx) error {
		up, err := tx.Upload(ctx, id)
		if err != nil {
			return err
		}
		if !still(up) {
			return errNoUpload()
		}
		return s.deleteUpload(ctx, tx, up)
	})
	if err != nil {
		return fmt.Errorf("drop upload: %w", err)
	}
	s.removePartials(ctx, id)
	return nil
}

func (s *Service) deleteUpload(ctx context.Context, tx Tx, up Upload) error {
	if up.Reserved > 0 {
		o, err := tx.Owner(ctx, up.Owner)
		if err != nil {
			return err
		}
		o.Reserved -= up.Reserved
		if err := tx.SaveOwner(ctx, o); err != nil {
			return err
		}
	}
	return tx.DeleteUpload(ctx, up.ID)
}
