package filestest

import (
	"context"

	"cloakroom.dev/files-svc/internal/files"
)

type foreignKey struct{ source, id string }

func (s *state) Imported(_ context.Context, source, foreignID string) (files.Imported, error) {
	return get(s.imported, foreignKey{source, foreignID})
}

func (s *state) InsertImported(_ context.Context, i files.Imported) error {
	return insert(s.imported, foreignKey{i.Source, i.ForeignID}, i)
}

func (s *state) ForgetImported(_ context.Context, owner files.OwnerID, limit int) (n int64, _ error) {
	for key, i := range s.imported {
		if i.Owner == owner && n < int64(limit) {
			delete(s.imported, key)
			n++
		}
	}
	return n, nil
}
