package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cloakroom.dev/libs/fault"
)

// NewFile says what is being handed in.
type NewFile struct {
	Name        string
	ContentType string // empty: application/octet-stream
	Metadata    Metadata
	ExpiresAt   time.Time // zero: never
	Size        int64     // as declared, or UnknownSize. Zero means an empty file
	Digest      *Digest   // expected; nil: none was declared
	NewName     bool      // refuse when a file of this name exists (If-None-Match: *)
	Key         string    // the client's word for this request (Idempotency-Key): repeating it makes no second file; empty: none
}

// Create stores a new file and returns it once it is durable.
//
// It refuses with fault.Invalid (name, type, metadata, expiry, or a content that ends early or goes on past its declared
// size), UnsupportedMediaType, TooLarge (by the declared size before the first byte, else while streaming), QuotaExceeded,
// DigestMismatch, PreconditionFailed (NewName), StorageFull, Unavailable, Timeout (content failed with a timeout); with
// the cause of ctx when that ended. Then nothing of it shows, ever. A fault returned by content is passed on as it is.
//
// Under a Key there is one file, however often and from however many clients the request comes within 24 hours: each gets the file as
// it was answered first. While the first is under way the others get fault.Conflict; a request that differs in its words or its
// content gets fault.KeyReused, and nothing of it is kept. A request that failed may be repeated under its key.
func (s *Service) Create(ctx context.Context, owner OwnerID, nf NewFile, content io.Reader) (File, error) {
	if nf.Key != "" {
		return s.createOnce(ctx, owner, nf, content)
	}
	u := upload{s: s, owner: owner, action: "create", declared: nf.Size, expected: nf.Digest}
	return s.create(ctx, &u, nf, content, func(Tx, File) error { return nil })
}

// create stores what u describes; first is the beginning of the commit.
func (s *Service) create(ctx context.Context, u *upload, nf NewFile, content io.Reader, first func(Tx, File) error) (stored File, err error) {
	defer s.measure(ctx, u, s.opts.Now(), &err)
	f, err := s.newFile(ctx, u.owner, nf)
	if err != nil {
		return File{}, err
	}
	if err := u.store(ctx, content); err != nil {
		return File{}, err
	}
	defer u.end(ctx)
	err = u.settle(ctx, func(tx Tx, o *Owner) error {
		stored = u.firstVersion(f)
		if err := first(tx, stored); err != nil {
			return err
		}
		if err := s.checkNew(ctx, tx, nf.NewName, f); err != nil {
			return err
		}
		if err := tx.InsertFile(ctx, stored); err != nil {
			return err
		}
		o.Files++
		return u.addVersion(ctx, tx, o, stored, FileCreated)
	})
	if err != nil {
		return File{}, err
	}
	return stored, nil
}

// newFile checks all that can be checked before the first byte.
func (s *Service) newFile(ctx context.Context, owner OwnerID, nf NewFile) (File, error) {
	if err := s.allow(ctx, owner, "create"); err != nil {
		return File{}, err
	}
	f, err := s.describe(nf)
	if err != nil {
		return File{}, err
	}
	f.ID, f.Owner = FileID(s.newID()), owner
	policy := s.opts.Policy()
	if err := policy.checkType(f.ContentType); err != nil {
		return File{}, err
	}
	if err := policy.checkSize(nf.Size); err != nil {
		return File{}, err
	}
	if nf.NewName { // asked again in the commit; here it saves the bytes
		err := s.catalog.Read(ctx, func(tx ReadTx) error { return s.checkNew(ctx, tx, true, f) })
		if err != nil {
			return File{}, fmt.Errorf("look for the name: %w", err)
		}
	}
	return f, s.opts.At(StepAuthorized)
}

// describe is what is said about a new file, in the forms that are kept.
func (s *Service) describe(nf NewFile) (File, error) {
	var bad fault.Bad
	name, more := s.checkName(nf.Name)
	bad.Add(more...)
	contentType, more := normalContentType(nf.ContentType)
	bad.Add(more...)
	metadata, more := checkMetadata(nf.Metadata)
	bad.Add(more...)
	expires, more := checkExpiry(nf.ExpiresAt, s.now())
	bad.Add(more...)
	return File{Name: name, Fold: s.fold(name), ContentType: contentType, Metadata: metadata, ExpiresAt: expires}, bad.Err()
}

// CheckNew refuses the fields that Create would refuse. It is for callers that refuse something already, and name all there
// is to it at once.
func (s *Service) CheckNew(nf NewFile) error {
	_, err := s.describe(nf)
	return err
}

func (s *Service) checkNew(ctx context.Context, tx FileReader, wanted bool, f File) error {
	if !wanted {
		return nil
	}
	taken, err := tx.FileNamed(ctx, f.Owner, f.Name, f.Fold, s.now())
	if err == nil && taken {
		return fault.New(fault.PreconditionFailed, "a file of this name exists")
	}
	return err
}

// store brings the content into the blob store, durably. The caller owes it end when it has succeeded.
func (u *upload) store(ctx context.Context, content io.Reader) (err error) {
	defer func() {
		if err != nil {
			u.end(ctx)
		}
	}()
	if err := u.begin(ctx); err != nil {
		return err
	}
	if err := u.receive(ctx, content); err != nil {
		return err
	}
	return u.keep(ctx)
}

// firstVersion puts what was received into a new file.
func (u *upload) firstVersion(f File) File {
	f.CreatedAt = u.s.now() // when it came into being, however long its content took
	f.UpdatedAt = f.CreatedAt
	if !u.born.IsZero() {
		f.CreatedAt = u.born
	}
	return u.newContent(f, f.CreatedAt)
}

func (u *upload) newContent(f File, at time.Time) File {
	f.Size, f.SHA256, f.Blob, f.Flaw, f.ContentAt = u.size, u.digest, u.id, u.flaw, at
	f.Version++
	f.Revision++
	return f
}

// addVersion writes the version of f's newest content, its sum and its event.
func (u *upload) addVersion(ctx context.Context, tx Tx, o *Owner, f File, kind EventKind) error {
	err := tx.InsertVersion(ctx, Version{
		File: f.ID, Number: f.Version, Blob: f.Blob, Size: f.Size, SHA256: f.SHA256, ContentType: f.ContentType, CreatedAt: f.ContentAt,
	})
	if err != nil {
		return err
	}
	o.Bytes += f.Size
	o.Versions++
	return tx.AppendEvent(ctx, Event{Kind: kind, Owner: f.Owner, File: f.ID, Version: f.Version, At: f.UpdatedAt})
}

// measure tells the meter how an upload ended.
func (s *Service) measure(ctx context.Context, u *upload, began time.Time, err *error) {
	s.opts.Meter.Uploaded(ctx, uploadResult(*err), u.size, s.opts.Now().Sub(began))
}

// uploadResult is the closed set of words for how an upload ended.
func uploadResult(err error) string {
	if err == nil {
		return "ok"
	}
	if errors.As(err, new(repeated)) {
		return "repeated"
	}
	switch fault.KindOf(err) {
	case fault.TooLarge:
		return "too_large"
	case fault.QuotaExceeded:
		return "quota"
	case fault.DigestMismatch:
		return "digest"
	case fault.PreconditionFailed:
		return "precondition"
	case fault.Internal:
		return "error"
	case fault.StorageFull:
		return "storage_full"
	case fault.Unavailable:
		return "unavailable"
	default:
		return "invalid"
	}
}
