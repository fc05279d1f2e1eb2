package files

import (
	"context"
	"fmt"
	"slices"

	"cloakroom.dev/libs/fault"
)

func errNoVersion() error { return fault.New(fault.NotFound, "no such version") }

// Versions lists at most limit versions of a file outside the trash, newest first, beginning below number before; before
// zero begins with the newest. more tells whether there are older ones. Limits are those of List.
func (s *Service) Versions(ctx context.Context, owner OwnerID, id FileID, before int64, limit int) (page []Version, more bool, err error) {
	if err := s.allow(ctx, owner, "read"); err != nil {
		return nil, false, err
	}
	limit, err = checkLimit(limit)
	if err != nil {
		return nil, false, err
	}
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		if _, err := s.visibleFile(ctx, tx, owner, id); err != nil {
			return err
		}
		page, err = tx.Versions(ctx, id) // as many as policy keeps, so bounded
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list versions: %w", err)
	}
	if before > 0 {
		page = slices.DeleteFunc(page, func(v Version) bool { return v.Number >= before })
	}
	if len(page) > limit {
		return page[:limit], true, nil
	}
	return page, false, nil
}

// checkLimit fills in the limit of a list that was left out.
func checkLimit(limit int) (int, error) {
	switch {
	case limit == 0:
		return DefaultLimit, nil
	case limit < 1 || limit > MaxLimit:
		return 0, fault.Validation(fault.Field{Field: "limit", Code: "INVALID", Detail: "must be 1 to 100"})
	default:
		return limit, nil
	}
}

// OpenVersion opens one kept version of a file outside the trash, as Open opens the newest. Content.File is the file as it
// was then, as far as its content goes.
func (s *Service) OpenVersion(ctx context.Context, owner OwnerID, id FileID, number int64) (*Content, error) {
	return s.open(ctx, s.openLater, func() (File, error) {
		if err := s.allow(ctx, owner, "read"); err != nil {
			return File{}, err
		}
		return s.version(ctx, owner, id, number, s.visibleFile)
	})
}

// OlderVersions lists the versions that are kept beside the current one of a file, be it in the trash or not, newest first.
func (s *Service) OlderVersions(ctx context.Context, owner OwnerID, id FileID) (older []Version, err error) {
	if err := s.allow(ctx, owner, "read"); err != nil {
		return nil, err
	}
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		f, err := ownFile(ctx, tx, owner, id)
		if err != nil || f.Version < 2 {
			return err
		}
		older, err = tx.Versions(ctx, id)
		older = slices.DeleteFunc(older, func(v Version) bool { return v.Number == f.Version })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list older versions: %w", err)
	}
	return older, nil
}

// OpenListed opens a content as it was listed, with At for an older one: a replace, a delete or a restore since disturbs it no more
// than a reader. It returns fault.NotFound when the bytes have been removed since.
func (s *Service) OpenListed(ctx context.Context, owner OwnerID, f File) (*Content, error) {
	return s.openSeen(ctx, owner, f, func() (File, error) {
		now, err := s.version(ctx, owner, f.ID, f.Version, ownFile)
		if err == nil && now.Blob != f.Blob {
			err = errNoVersion()
		}
		return now, err
	})
}

// version is a file with the content of one of its versions.
func (s *Service) version(ctx context.Context, owner OwnerID, id FileID, number int64, find findFile) (f File, err error) {
	err = s.catalog.Read(ctx, func(tx ReadTx) error {
		if f, err = find(ctx, tx, owner, id); err != nil {
			return err
		}
		v, _, err := findVersion(ctx, tx, id, number)
		f = f.At(v)
		return err
	})
	if err != nil {
		return File{}, fmt.Errorf("get version: %w", err)
	}
	return f, nil
}

// RestoreVersion makes the content of an older version the newest one again: a new version that names the same bytes, so
// nothing is copied and nothing more counts. Of two writes under one ifMatch one wins. The newest version needs no restoring: the
// file is returned as it is. It returns fault.NotFound when the file or the version is not there.
func (s *Service) RestoreVersion(ctx context.Context, owner OwnerID, id FileID, number int64, ifMatch []string) (f File, err error) {
	if err := s.allow(ctx, owner, "update"); err != nil {
		return File{}, err
	}
	err = s.catalog.Write(ctx, func(tx Tx) error {
		old, err := s.visibleFile(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		if err := checkMatch(old, ifMatch); err != nil {
			return err
		}
		v, all, err := findVersion(ctx, tx, id, number)
		if err != nil || number == old.Version {
			f = old
			return err
		}
		f, err = s.bringBack(ctx, tx, old, v, all)
		return err
	})
	if err != nil {
		return File{}, fmt.Errorf("restore version: %w", err)
	}
	return f, nil
}

// bringBack puts a version's content on top of all.
func (s *Service) bringBack(ctx context.Context, tx Tx, old File, v Version, all []Version) (File, error) {
	o, err := tx.Owner(ctx, old.Owner)
	if err != nil {
		return File{}, err
	}
	before, now := o.Versions, s.now()
	row, err := tx.Blob(ctx, v.Blob)
	if err != nil {
		return File{}, err
	}
	f := old.At(v)
	f.Flaw, f.Version, f.Revision, f.ContentAt, f.UpdatedAt = row.Flaw, old.Version+1, old.Revision+1, now, now
	newest := Version{
		File: f.ID, Number: f.Version, Blob: v.Blob, Size: v.Size, SHA256: v.SHA256, ContentType: v.ContentType, CreatedAt: now,
	}
	if err := tx.UpdateFile(ctx, f); err != nil {
		return File{}, err
	}
	if err := tx.InsertVersion(ctx, newest); err != nil {
		return File{}, err
	}
	o.Versions++
	if err := s.keepVersions(ctx, tx, &o, all, newest.Blob); err != nil {
		return File{}, err
	}
	if err := s.checkVersions(o, o.Versions-before); err != nil {
		return File{}, err
	}
	if err := tx.SaveOwner(ctx, o); err != nil {
		return File{}, err
	}
	return f, tx.AppendEvent(ctx, Event{Kind: FileReplaced, Owner: f.Owner, File: f.ID, Version: f.Version, At: now})
}

// At is the file with the content of one of its versions.
func (f File) At(v Version) File {
	f.Version, f.Blob, f.Size, f.SHA256, f.ContentType, f.ContentAt, f.Flaw = v.Number, v.Blob, v.Size, v.SHA256, v.ContentType, v.CreatedAt, v.Flaw
	return f
}

func findVersion(ctx context.Context, tx VersionReader, id FileID, number int64) (Version, []Version, error) {
	all, err := tx.Versions(ctx, id)
	if err != nil {
		return Version{}, nil, err
	}
	i := slices.IndexFunc(all, func(v Version) bool { return v.Number == number })
	if i < 0 {
		return Version{}, nil, errNoVersion()
	}
	return all[i], all, nil
}

// keepVersions lets go of the older versions (newest first) that policy does not keep beside a newest one of blob newest.
func (s *Service) keepVersions(ctx context.Context, tx Tx, o *Owner, older []Version, newest BlobID) error {
	keep := min(max(0, s.opts.Policy().KeepVersions), len(older))
	inUse := map[BlobID]bool{newest: true}
	for _, v := range older[:keep] {
		inUse[v.Blob] = true
	}
	return s.dropVersions(ctx, tx, o, older[keep:], inUse)
}

// dropVersions removes versions and leaves the bytes that no other version uses to the reaper. Versions that were restored
// share their bytes, within one file: they count once.
func (s *Service) dropVersions(ctx context.Context, tx Tx, o *Owner, versions []Version, inUse map[BlobID]bool) error {
	for _, v := range versions {
		if err := tx.DeleteVersion(ctx, v.File, v.Number); err != nil {
			return err
		}
		o.Versions--
		if inUse[v.Blob] {
			continue
		}
		inUse[v.Blob] = true // it is dead only once
		row, err := tx.Blob(ctx, v.Blob)
		if err != nil {
			return err
		}
		row.State, row.ChangedAt = BlobDead, s.now()
		if err := tx.UpdateBlob(ctx, row, BlobLive); err != nil {
			return err
		}
		o.Bytes -= v.Size
	}
	return nil
}
