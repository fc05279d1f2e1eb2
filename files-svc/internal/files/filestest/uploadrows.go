package filestest

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"cloakroom.dev/files-svc/internal/files"
)

// cloneUpload is a row that shares nothing with u.
func cloneUpload(u files.Upload) files.Upload {
	u.Joins, u.Metadata, u.Hash = slices.Clone(u.Joins), maps.Clone(u.Metadata), bytes.Clone(u.Hash)
	return u
}

func (s *state) Upload(_ context.Context, id files.UploadID) (files.Upload, error) {
	u, err := get(s.uploads, id)
	return cloneUpload(u), err
}

func (s *state) DueUploads(_ context.Context, q files.DueUploads) ([]files.Upload, error) {
	var found []files.Upload
	for _, id := range slices.Sorted(maps.Keys(s.uploads)) {
		u := s.uploads[id]
		due := q.Owner != "" && u.Owner == q.Owner || q.Owner == "" && !u.ExpiresAt.After(q.ExpiredBefore)
		if due && id > q.After && len(found) < q.Limit {
			found = append(found, cloneUpload(u))
		}
	}
	return found, nil
}

func (s *state) OpenUploads(_ context.Context, owner files.OwnerID) (n int64, err error) {
	for _, u := range s.uploads {
		if u.Owner == owner && u.State == files.UploadOpen {
			n++
		}
	}
	return n, nil
}

func (s *state) UploadStats(context.Context) (stats files.UploadStats, err error) {
	for _, u := range s.uploads {
		if u.State == files.UploadOpen {
			stats.Open++
			stats.Reserved += u.Reserved
		}
	}
	return stats, nil
}

func (s *state) InsertUpload(_ context.Context, u files.Upload) error {
	return insert(s.uploads, u.ID, cloneUpload(u))
}

func (s *state) UpdateUpload(_ context.Context, u files.Upload) error {
	if old, ok := s.uploads[u.ID]; !ok || old.Revision != u.Revision-1 {
		return conflict()
	}
	s.uploads[u.ID] = cloneUpload(u)
	return nil
}

func (s *state) DeleteUpload(_ context.Context, id files.UploadID) error {
	if _, ok := s.uploads[id]; !ok {
		return notFound()
	}
	delete(s.uploads, id)
	return nil
}
