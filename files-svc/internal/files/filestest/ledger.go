package filestest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

func (s *state) Blob(_ context.Context, id files.BlobID) (files.Blob, error) { return get(s.blobs, id) }

func (s *state) BlobsIn(_ context.Context, in files.BlobState, since time.Time, limit int) ([]files.Blob, error) {
	var found []files.Blob
	for _, b := range s.blobs {
		if b.State == in && !b.ChangedAt.After(since) {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b files.Blob) int {
		return cmp.Or(a.ChangedAt.Compare(b.ChangedAt), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(limit, len(found))], nil
}

func (s *state) PendingBlobs(_ context.Context, epoch files.EpochID, limit int) ([]files.Blob, error) {
	var found []files.Blob
	for _, id := range slices.Sorted(maps.Keys(s.blobs)) {
		of, _, _ := id.Split()
		if b := s.blobs[id]; of == epoch && b.State == files.BlobPending && len(found) < limit {
			found = append(found, b)
		}
	}
	return found, nil
}

func (s *state) KnownBlobs(_ context.Context, ids []files.BlobID) (map[files.BlobID]bool, error) {
	known := map[files.BlobID]bool{}
	for _, id := range ids {
		if _, ok := s.blobs[id]; ok {
			known[id] = true
		}
	}
	return known, nil
}

func (s *state) EpochHasBlobs(_ context.Context, epoch files.EpochID) (bool, error) {
	for id := range s.blobs {
		if strings.HasPrefix(string(id), string(epoch)+".") {
			return true, nil
		}
	}
	return false, nil
}

func (s *state) BlobStats(context.Context) (map[files.BlobState]files.BlobStat, error) {
	stats := map[files.BlobState]files.BlobStat{}
	for _, b := range s.blobs {
		stat := stats[b.State]
		stat.Blobs++
		if b.State == files.BlobPending {
			stat.Bytes += b.Reserved
		} else {
			stat.Bytes += b.Size
		}
		stats[b.State] = stat
	}
	return stats, nil
}

func (s *state) InsertBlob(_ context.Context, b files.Blob) error { return insert(s.blobs, b.ID, b) }

func (s *state) UpdateBlob(_ context.Context, b files.Blob, from files.BlobState) error {
	if old, ok := s.blobs[b.ID]; !ok || old.State != from {
		return conflict()
	}
	s.blobs[b.ID] = b
	return nil
}

func (s *state) DeleteBlob(_ context.Context, id files.BlobID, from files.BlobState) error {
	if old, ok := s.blobs[id]; !ok || old.State != from || s.named(id) {
		return conflict()
	}
	delete(s.blobs, id)
	return nil
}

func (s *state) named(id files.BlobID) bool {
	for _, versions := range s.versions {
		if slices.ContainsFunc(versions, func(v files.Version) bool { return v.Blob == id }) {
			return true
		}
	}
	return false
}

func (s *state) Owner(_ context.Context, id files.OwnerID) (files.Owner, error) {
	o := s.owners[id]
	o.ID = id
	return o, nil
}

func (s *state) SaveOwner(_ context.Context, o files.Owner) error {
	s.owners[o.ID] = o
	return nil
}

func (s *state) LogPosition(context.Context) (int64, error) { return s.position, nil }

func (s *state) SetLogPosition(_ context.Context, seq int64) error {
	s.position = seq
	return nil
}

func (s *state) Epoch(_ context.Context, id files.EpochID) (files.Epoch, error) {
	return get(s.epochs, id)
}

func (s *state) Epochs(context.Context) ([]files.Epoch, error) {
	return slices.SortedFunc(maps.Values(s.epochs), func(a, b files.Epoch) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (s *state) InsertEpoch(_ context.Context, e files.Epoch) error { return insert(s.epochs, e.ID, e) }

func (s *state) UpdateEpoch(_ context.Context, e files.Epoch, from files.EpochState) error {
	if old, ok := s.epochs[e.ID]; !ok || old.State != from {
		return conflict()
	}
	s.epochs[e.ID] = e
	return nil
}

func (s *state) DeleteEpoch(_ context.Context, id files.EpochID) error {
	delete(s.epochs, id)
	return nil
}

func (s *state) EventsAfter(_ context.Context, seq int64, limit int) ([]files.Event, error) {
	var found []files.Event
	for _, e := range s.events {
		if e.Seq > seq && len(found) < limit {
			found = append(found, e)
		}
	}
	return found, nil
}

func (s *state) AppendEvent(_ context.Context, e files.Event) error {
	s.lastSeq++
	e.Seq = s.lastSeq
	s.events = append(s.events, e)
	return nil
}

func (s *state) TrimEvents(_ context.Context, before time.Time, limit int) (int64, error) {
	old := 0
	for old < min(limit, len(s.events)) && s.events[old].At.Before(before) {
		old++
	}
	s.events = slices.Clone(s.events[old:])
	return int64(old), nil
}
