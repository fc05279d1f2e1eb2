package files

import (
	"context"
	"fmt"

	"cloakroom.dev/libs/fault"
)

// maxOpenUploads bounds how many uploads one owner has under way: a row each, and a file descriptor's worth of disk.
const maxOpenUploads = 4096

// maxNoteBytes bounds Upload.Note.
const maxNoteBytes = 8 << 10

// NewUpload says what is going to be handed in.
type NewUpload struct {
	File NewFile // its Size is the length of the whole, or UnknownSize
	Part bool    // to be joined with others; then only the Size of File counts
	Note string  // at most 8 KiB
}

// CreateUpload makes an upload and reserves its quota, durably. It refuses with what Create refuses with before the
// first byte.
func (s *Service) CreateUpload(ctx context.Context, owner OwnerID, n NewUpload) (Upload, error) {
	up, err := s.newUpload(ctx, owner, n)
	if err != nil {
		return Upload{}, err
	}
	up.Reserved = max(0, up.Length)
	if err := s.insertUpload(ctx, up); err != nil {
		return Upload{}, fmt.Errorf("create upload: %w", err)
	}
	return up, s.opts.At(StepUploadCreated)
}

// newUpload checks all that can be checked before the first byte.
func (s *Service) newUpload(ctx context.Context, owner OwnerID, n NewUpload) (Upload, error) {
	now := s.now()
	up := Upload{
		ID: UploadID(s.opts.NewUploadID()), Owner: owner, State: UploadOpen, Part: n.Part, Note: n.Note,
		Length: max(n.File.Size, UnknownSize), CreatedAt: now, ExpiresAt: now.Add(s.uploadExpiry()), Revision: 1,
	}
	if len(n.Note) > maxNoteBytes {
		return Upload{}, fault.New(fault.TooLarge, "what is said about the upload is too long")
	}
	if n.Part {
		if err := s.allow(ctx, owner, "create"); err != nil {
			return Upload{}, err
		}
		return up, s.opts.Policy().checkSize(n.File.Size)
	}
	f, err := s.newFile(ctx, owner, n.File)
	if err != nil {
		return Upload{}, err
	}
	up.Name, up.ContentType, up.Metadata, up.FileExpires = f.Name, f.ContentType, f.Metadata, f.ExpiresAt
	up.NewName, up.Expected = n.File.NewName, n.File.Digest
	return up, nil
}

// CheckUpload refuses the fields that CreateUpload would refuse, as CheckNew does for Create.
func (s *Service) CheckUpload(n NewUpload) error {
	if n.Part {
		return nil
	}
	return s.CheckNew(n.File)
}

// insertUpload makes the intent durable, with what it reserves.
func (s *Service) insertUpload(ctx context.Context, up Upload) error {
	return s.catalog.Write(ctx, func(tx Tx) error {
		o, err := openAccount(ctx, tx, up.Owner)
		if err != nil {
			return err
		}
		open, err := tx.OpenUploads(ctx, up.Owner)
		if err != nil {
			return err
		}
		if open >= maxOpenUploads {
			return fault.New(fault.QuotaExceeded, "too many of your uploads are under way")
		}
		o.Reserved += up.Reserved
		if err := s.checkQuota(o, up.Reserved); err != nil {
			return err
		}
		if err := s.checkNewFile(o); err != nil {
			return err
		}
		if err := tx.InsertUpload(ctx, up); err != nil {
			return err
		}
		return tx.SaveOwner(ctx, o)
	})
}

// openAccount is the account of somebody who has not been erased.
func openAccount(ctx context.Context, tx Tx, owner OwnerID) (Owner, error) {
	o, err := tx.Owner(ctx, owner)
	if err == nil && !o.ErasedAt.IsZero() {
		return Owner{}, fault.New(fault.Forbidden, "the account is closed")
	}
	return o, err
}

// StatUpload tells where an upload stands, and that stays so: a request that was still sending to it is ended first. An
// upload that has all of its bytes and lost its last answer becomes a file here; then StatUpload refuses like Create.
//
// It returns fault.NotFound when there is none, or not for this caller, and fault.Gone when it has expired.
func (s *Service) StatUpload(ctx context.Context, owner OwnerID, id UploadID) (Upload, error) {
	if err := s.allow(ctx, owner, "create"); err != nil {
		return Upload{}, err
	}
	release, err := s.takeUpload(ctx, owner, id, nil)
	if err != nil {
		return Upload{}, err
	}
	defer release()
	var up Upload
	err = s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		up, err = s.ownUpload(ctx, tx, owner, id)
		return err
	})
	if err != nil {
		return Upload{}, fmt.Errorf("look up the upload: %w", err)
	}
	if up.State == UploadOpen && up.Sealed {
		if err := s.finishUpload(ctx, &up); err != nil {
			return Upload{}, err
		}
	}
	return up, nil
}

// EndUpload forgets an upload, its bytes and its reservation. A file it has become stays.
func (s *Service) EndUpload(ctx context.Context, owner OwnerID, id UploadID) error {
	if err := s.allow(ctx, owner, "create"); err != nil {
		return err
	}
	release, err := s.takeUpload(ctx, owner, id, nil)
	if err != nil {
		return err
	}
	defer release()
	return s.dropUpload(ctx, id, func(up Upload) bool { return up.Owner == owner })
}
