package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cloakroom.dev/libs/fault"
)

// Foreign says where a file was before it came here.
type Foreign struct {
	Source    string    // a word for the other system
	ID        string    // of the file there
	CreatedAt time.Time // there; zero: when it comes in
}

// Imported remembers that a file of another system has come in. It outlives the file: what its owner has deleted here does
// not come back with the next run of the import. It goes with its owner.
type Imported struct {
	Source    string
	ForeignID string
	Owner     OwnerID
	File      FileID
	At        time.Time
}

const (
	maxSourceBytes    = 32
	maxForeignIDBytes = 1024
)

// Imported finds what has become of a file of another system for this owner. It returns fault.NotFound when it has not
// come in, and fault.Invalid when it has, for somebody else.
func (s *Service) Imported(ctx context.Context, owner OwnerID, from Foreign) (known Imported, err error) {
	if err := s.allow(ctx, owner, "create"); err != nil {
		return known, err
	}
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		known, err = tx.Imported(ctx, from.Source, from.ID)
		return err
	})
	if err == nil && known.Owner != owner {
		return Imported{}, fault.Validation(fault.Field{Field: "id", Code: "DUPLICATE", Detail: "has come in before, for somebody else"})
	}
	return known, err
}

// Import is Create for a file that was elsewhere before. It makes one file of each, however often and in however many
// processes it is called, and keeps when the file was made there. Of one that has come in before it returns fault.Conflict.
func (s *Service) Import(ctx context.Context, owner OwnerID, from Foreign, nf NewFile, content io.Reader) (File, error) {
	if err := s.checkImported(ctx, owner, from); err != nil {
		return File{}, err
	}
	u := upload{s: s, owner: owner, action: "create", declared: nf.Size, expected: nf.Digest, born: from.CreatedAt.UTC().Truncate(time.Microsecond)}
	return s.create(ctx, &u, nf, content, func(tx Tx, f File) error {
		switch _, err := tx.Imported(ctx, from.Source, from.ID); { // another process was quicker
		case err == nil:
			return errImported()
		case !errors.Is(err, fault.Of(fault.NotFound)):
			return err
		}
		return tx.InsertImported(ctx, Imported{Source: from.Source, ForeignID: from.ID, Owner: owner, File: f.ID, At: f.UpdatedAt})
	})
}

// CheckImport refuses what Import would refuse before the first byte.
func (s *Service) CheckImport(ctx context.Context, owner OwnerID, from Foreign, nf NewFile) error {
	if err := s.checkImported(ctx, owner, from); err != nil {
		return err
	}
	_, err := s.newFile(ctx, owner, nf)
	return err
}

func (s *Service) checkImported(ctx context.Context, owner OwnerID, from Foreign) error {
	if err := s.checkForeign(from); err != nil {
		return err
	}
	switch _, err := s.Imported(ctx, owner, from); {
	case err == nil:
		return errImported()
	case errors.Is(err, fault.Of(fault.NotFound)):
		return nil
	default:
		return err
	}
}

func errImported() error { return fault.New(fault.Conflict, "this file has come in before") }

func (s *Service) checkForeign(from Foreign) error {
	var bad []fault.Field
	if from.Source == "" || len(from.Source) > maxSourceBytes || !plainText(from.Source, false) {
		bad = append(bad, fault.Field{Field: "source", Code: "INVALID", Detail: fmt.Sprintf("must be a word of at most %d bytes", maxSourceBytes)})
	}
	if from.ID == "" || len(from.ID) > maxForeignIDBytes || !plainText(from.ID, false) {
		bad = append(bad, fault.Field{Field: "id", Code: "INVALID", Detail: fmt.Sprintf("must be 1 to %d bytes of plain UTF-8", maxForeignIDBytes)})
	}
	if at := from.CreatedAt; !at.IsZero() && (at.Unix() < 0 || at.After(s.now())) {
		bad = append(bad, fault.Field{Field: "created_at", Code: "INVALID", Detail: "must lie between 1970 and now"})
	}
	if len(bad) > 0 {
		return fault.Validation(bad...)
	}
	return nil
}

// forgetImports is the part of an erasure that forgets where the person's files came from.
func (s *Service) forgetImports(ctx context.Context, owner OwnerID) error {
	return s.inBatches(ctx, "import", func(tx Tx) (int, error) {
		n, err := tx.ForgetImported(ctx, owner, eraseBatch)
		return int(n), err
	})
}
