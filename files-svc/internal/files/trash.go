package files

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
)

// Trashed is a file in the trash.
type Trashed struct {
	File
	PurgeAt time.Time // when it is removed for good, as policy stands; zero: when its owner says so
}

// TrashPlace is the place behind the last file of a page of the trash. It can be written as JSON; seal it before it travels.
type TrashPlace struct {
	Deleted int64  `json:"d"` // microseconds
	ID      FileID `json:"id"`
}

// TrashList is one page of the trash. Next is nil on the last one.
type TrashList struct {
	Files []Trashed
	Next  *TrashPlace
}

// Trash lists what is in the owner's trash, the latest deleted first. A file that has just expired appears with the
// reaper's next pass.
func (s *Service) Trash(ctx context.Context, owner OwnerID, after *TrashPlace, limit int) (TrashList, error) {
	if err := s.allow(ctx, owner, "read"); err != nil {
		return TrashList{}, err
	}
	limit, err := checkLimit(limit)
	if err != nil {
		return TrashList{}, err
	}
	var found []File
	err = s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		found, err = tx.TrashedFiles(ctx, owner, after, limit+1)
		return err
	})
	if err != nil {
		return TrashList{}, fmt.Errorf("list trash: %w", err)
	}
	var list TrashList
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		list.Next = &TrashPlace{Deleted: last.DeletedAt.UnixMicro(), ID: last.ID}
	}
	keep := s.opts.Policy().TrashRetention
	for _, f := range found {
		t := Trashed{File: f}
		if keep > 0 {
			t.PurgeAt = f.DeletedAt.Add(keep)
		}
		list.Files = append(list.Files, t)
	}
	return list, nil
}

// RestoreTrashed brings a file back from the trash with all its versions, its name and its metadata; an expiry that has passed
// is taken off. It returns fault.NotFound when there is no such file in the trash.
func (s *Service) RestoreTrashed(ctx context.Context, owner OwnerID, id FileID) (f File, err error) {
	if err := s.allow(ctx, owner, "update"); err != nil {
		return File{}, err
	}
	err = s.catalog.Write(ctx, func(tx Tx) error {
		if f, err = s.trashedFile(ctx, tx, owner, id); err != nil {
			return err
		}
		o, err := tx.Owner(ctx, owner)
		switch {
		case err != nil:
			return err
		case !o.ErasedAt.IsZero():
			return fault.New(fault.Forbidden, "the account is closed")
		}
		if !f.DeletedAt.IsZero() {
			o.Files++
		}
		now := s.now()
		f.DeletedAt, f.UpdatedAt = time.Time{}, now
		f.Revision++
		if !f.visible(now) {
			f.ExpiresAt = time.Time{}
		}
		if err := tx.UpdateFile(ctx, f); err != nil {
			return err
		}
		if err := tx.SaveOwner(ctx, o); err != nil {
			return err
		}
		return tx.AppendEvent(ctx, Event{Kind: FileRestored, Owner: owner, File: id, Version: f.Version, At: now})
	})
	if err != nil {
		return File{}, fmt.Errorf("restore from trash: %w", err)
	}
	return f, nil
}

// DeleteTrashed removes a file in the trash for good. It returns fault.NotFound when there is none, in particular when the
// file is not in the trash.
func (s *Service) DeleteTrashed(ctx context.Context, owner OwnerID, id FileID) error {
	if err := s.allow(ctx, owner, "delete"); err != nil {
		return err
	}
	err := s.catalog.Write(ctx, func(tx Tx) error {
		f, err := s.trashedFile(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		o, err := tx.Owner(ctx, owner)
		if err != nil {
			return err
		}
		if err := s.remove(ctx, tx, &o, f); err != nil {
			return err
		}
		return tx.SaveOwner(ctx, o)
	})
	if err != nil {
		return fmt.Errorf("delete from trash: %w", err)
	}
	return nil
}

// trashedFile is the owner's file in the trash, or on its way there because it has expired.
func (s *Service) trashedFile(ctx context.Context, tx FileReader, owner OwnerID, id FileID) (File, error) {
	f, err := ownFile(ctx, tx, owner, id)
	if err == nil && f.visible(s.now()) {
		return File{}, errNoFile()
	}
	return f, err
}
