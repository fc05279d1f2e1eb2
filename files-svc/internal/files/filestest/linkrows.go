package filestest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

func (s *state) Link(_ context.Context, id files.LinkID) (files.Link, error) { return get(s.links, id) }

func (s *state) LinkByHash(_ context.Context, hash files.LinkHash) (files.Link, error) {
	for _, l := range s.links {
		if l.Hash == hash {
			return l, nil
		}
	}
	return files.Link{}, notFound()
}

func (s *state) Links(_ context.Context, file files.FileID) ([]files.Link, error) {
	var found []files.Link
	for _, l := range s.links {
		if l.File == file {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b files.Link) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return found, nil
}

func (s *state) InsertLink(ctx context.Context, l files.Link) error {
	if _, err := s.LinkByHash(ctx, l.Hash); err == nil {
		return conflict()
	}
	if _, err := get(s.files, l.File); err != nil {
		return err
	}
	return insert(s.links, l.ID, l)
}

func (s *state) UpdateLink(_ context.Context, l files.Link) error {
	old, err := get(s.links, l.ID)
	if err == nil {
		old.Downloads, old.Failures, old.FailedAt = l.Downloads, l.Failures, l.FailedAt
		s.links[l.ID] = old
	}
	return err
}

func (s *state) DeleteLink(_ context.Context, id files.LinkID) error {
	_, err := get(s.links, id)
	delete(s.links, id)
	return err
}

func (s *state) DeleteLinks(_ context.Context, file files.FileID) error {
	maps.DeleteFunc(s.links, func(_ files.LinkID, l files.Link) bool { return l.File == file })
	return nil
}

func (s *state) TrimLinks(_ context.Context, until time.Time, limit int) (n int64, err error) {
	for _, id := range slices.Sorted(maps.Keys(s.links)) {
		if n < int64(limit) && !s.links[id].ExpiresAt.After(until) {
			delete(s.links, id)
			n++
		}
	}
	return n, nil
}

func (s *state) EventRange(context.Context) (first, last int64, err error) {
	if len(s.events) == 0 {
		return s.lastSeq + 1, s.lastSeq, nil
	}
	return s.events[0].Seq, s.lastSeq, nil
}

func (s *state) OwnerEvents(_ context.Context, owner files.OwnerID, after int64, limit int) ([]files.Event, error) {
	var found []files.Event
	for _, e := range s.events {
		if e.Owner == owner && e.Seq > after && len(found) < limit {
			found = append(found, e)
		}
	}
	return found, nil
}
