package files

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
)

// FileChange says what to change about a file; nil fields stay as they are.
type FileChange struct {
	Name      *string
	Metadata  *Metadata  // takes the place of the whole map
	ExpiresAt *time.Time // the zero time: never
	IfMatch   []string   // the content it must have, as in NewContent
}

// Update changes what is said about a file; its content stays.
func (s *Service) Update(ctx context.Context, owner OwnerID, id FileID, c FileChange) (File, error) {
	if err := s.allow(ctx, owner, "update"); err != nil {
		return File{}, err
	}
	apply, err := s.checkChange(c)
	if err != nil {
		return File{}, err
	}
	var f File
	err = s.catalog.Write(ctx, func(tx Tx) (err error) {
		if f, err = s.visibleFile(ctx, tx, owner, id); err != nil {
			return err
		}
		if err := checkMatch(f, c.IfMatch); err != nil {
			return err
		}
		apply(&f)
		f.UpdatedAt = s.now()
		f.Revision++
		if err := tx.UpdateFile(ctx, f); err != nil {
			return err
		}
		return tx.AppendEvent(ctx, Event{Kind: FileUpdated, Owner: owner, File: id, Version: f.Version, At: f.UpdatedAt})
	})
	if err != nil {
		return File{}, fmt.Errorf("update file: %w", err)
	}
	return f, nil
}

// CheckChange refuses the fields that Update would refuse, as CheckNew does for Create.
func (s *Service) CheckChange(c FileChange) error {
	_, err := s.checkChange(c)
	return err
}

// checkChange checks every field and returns the change as a function.
func (s *Service) checkChange(c FileChange) (apply func(*File), err error) {
	var name string
	var metadata Metadata
	var expires time.Time
	var bad fault.Bad
	var more []fault.Field
	if c.Name != nil {
		name, more = s.checkName(*c.Name)
		bad.Add(more...)
	}
	if c.Metadata != nil {
		metadata, more = checkMetadata(*c.Metadata)
		bad.Add(more...)
	}
	if c.ExpiresAt != nil {
		expires, more = checkExpiry(*c.ExpiresAt, s.now())
		bad.Add(more...)
	}
	return func(f *File) {
		if c.Name != nil {
			f.Name, f.Fold = name, s.fold(name)
		}
		if c.Metadata != nil {
			f.Metadata = metadata
		}
		if c.ExpiresAt != nil {
			f.ExpiresAt = expires
		}
	}, bad.Err()
}

// Delete moves a file to the trash, or removes it with all its versions at once when permanent is set (then a file in the
// trash is found too). Readers finish. ifMatch names the content it must have, as in NewContent; none is no condition. It
// returns fault.NotFound when there is no such file.
func (s *Service) Delete(ctx context.Context, owner OwnerID, id FileID, permanent bool, ifMatch ...string) error {
	if err := s.allow(ctx, owner, "delete"); err != nil {
		return err
	}
	err := s.catalog.Write(ctx, func(tx Tx) error {
		f, err := tx.File(ctx, id)
		switch {
		case err != nil:
			return err
		case f.Owner != owner, !permanent && !f.visible(s.now()):
			return errNoFile()
		}
		if err := checkMatch(f, ifMatch); err != nil {
			return err
		}
		o, err := tx.Owner(ctx, owner)
		if err != nil {
			return err
		}
		if permanent {
			err = s.remove(ctx, tx, &o, f)
		} else {
			err = s.trash(ctx, tx, &o, f, s.now())
		}
		if err != nil {
			return err
		}
		return tx.SaveOwner(ctx, o)
	})
	if err != nil {
		return fmt.Errorf("delete file: %w", err)
	}
	return nil
}

// trash moves a file to the trash. It still counts in the owner's bytes. Its links end: they don't come back with it.
func (s *Service) trash(ctx context.Context, tx Tx, o *Owner, f File, at time.Time) error {
	f.DeletedAt, f.UpdatedAt = at, s.now()
	f.Revision++
	o.Files--
	if err := tx.UpdateFile(ctx, f); err != nil {
		return err
	}
	if err := tx.DeleteLinks(ctx, f.ID); err != nil {
		return err
	}
	return tx.AppendEvent(ctx, Event{Kind: FileTrashed, Owner: f.Owner, File: f.ID, Version: f.Version, At: s.now()})
}

// remove takes a file and all its versions out of the catalog.
func (s *Service) remove(ctx context.Context, tx Tx, o *Owner, f File) error {
	versions, err := tx.Versions(ctx, f.ID)
	if err != nil {
		return err
	}
	if err := s.dropVersions(ctx, tx, o, versions, map[BlobID]bool{}); err != nil {
		return err
	}
	if err := tx.DeleteLinks(ctx, f.ID); err != nil {
		return err
	}
	if err := tx.DeleteFile(ctx, f.ID); err != nil {
		return err
	}
	if f.DeletedAt.IsZero() {
		o.Files--
	}
	return tx.AppendEvent(ctx, Event{Kind: FileDeleted, Owner: f.Owner, File: f.ID, Version: f.Version, At: s.now()})
}
