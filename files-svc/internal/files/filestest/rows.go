package filestest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/fault"
)

// state is one state of the catalog. It is a files.Tx on itself.
type state struct {
	files      map[files.FileID]files.File
	versions   map[files.FileID][]files.Version // newest first
	blobs      map[files.BlobID]files.Blob
	owners     map[files.OwnerID]files.Owner
	epochs     map[files.EpochID]files.Epoch
	uploads    map[files.UploadID]files.Upload
	links      map[files.LinkID]files.Link
	receipts   map[receiptKey]files.Receipt
	imported   map[foreignKey]files.Imported
	webhooks   map[string]webhook.State
	deliveries map[deliveryKey]webhook.Delivery
	events     []files.Event
	lastSeq    int64
	position   int64
}

var (
	_ files.Tx   = (*state)(nil)
	_ webhook.Tx = (*state)(nil)
)

func (s *state) clone() *state {
	next := *s
	next.files, next.versions, next.blobs = maps.Clone(s.files), maps.Clone(s.versions), maps.Clone(s.blobs)
	next.owners, next.epochs, next.events = maps.Clone(s.owners), maps.Clone(s.epochs), slices.Clip(s.events)
	next.uploads, next.links = maps.Clone(s.uploads), maps.Clone(s.links)
	next.imported = maps.Clone(s.imported)
	next.receipts, next.webhooks, next.deliveries = maps.Clone(s.receipts), maps.Clone(s.webhooks), maps.Clone(s.deliveries)
	return &next
}

func notFound() error { return fault.New(fault.NotFound, "no such row") }
func conflict() error { return fault.New(fault.Conflict, "the row is not in this state") }

func get[K comparable, V any](rows map[K]V, id K) (V, error) {
	row, ok := rows[id]
	if !ok {
		return row, notFound()
	}
	return row, nil
}

func insert[K comparable, V any](rows map[K]V, id K, row V) error {
	if _, ok := rows[id]; ok {
		return conflict()
	}
	rows[id] = row
	return nil
}

func (s *state) File(_ context.Context, id files.FileID) (files.File, error) {
	f, err := get(s.files, id)
	f.Metadata = maps.Clone(f.Metadata)
	return s.judged(f), err
}

// judged is a file with what is wrong with its bytes, which its own row does not hold.
func (s *state) judged(f files.File) files.File {
	f.Flaw = s.blobs[f.Blob].Flaw
	return f
}

func (s *state) FileNamed(_ context.Context, owner files.OwnerID, name, _ string, now time.Time) (bool, error) {
	for _, f := range s.files {
		if f.Owner == owner && f.Name == name && visible(f, now) {
			return true, nil
		}
	}
	return false, nil
}

func visible(f files.File, now time.Time) bool {
	return f.DeletedAt.IsZero() && (f.ExpiresAt.IsZero() || f.ExpiresAt.After(now))
}

func (s *state) Files(_ context.Context, owner files.OwnerID, q files.ListQuery, w files.Window) ([]files.File, error) {
	found := s.matching(owner, q, w.Now)
	order := orderOf(q.Sort)
	slices.SortFunc(found, order)
	if q.After != nil {
		place := files.File{ID: q.After.ID, Fold: q.After.Text, Size: q.After.Int, CreatedAt: time.UnixMicro(q.After.Int)}
		found = slices.DeleteFunc(found, func(f files.File) bool { return order(f, place) <= 0 })
	}
	found = found[min(w.Skip, int64(len(found))):]
	return found[:min(w.Limit, len(found))], nil
}

func (s *state) CountFiles(_ context.Context, owner files.OwnerID, q files.ListQuery, now time.Time) (int64, error) {
	return int64(len(s.matching(owner, q, now))), nil
}

func (s *state) matching(owner files.OwnerID, q files.ListQuery, now time.Time) []files.File {
	var found []files.File
	for _, f := range s.files {
		kind, _, _ := strings.Cut(f.ContentType, ";")
		prefix, all := strings.CutSuffix(q.ContentType, "*")
		switch {
		case f.Owner != owner, !visible(f, now),
			q.Query != "" && !strings.Contains(f.Fold, q.Query),
			q.ContentType != "" && !all && kind != q.ContentType,
			all && !strings.HasPrefix(kind, prefix),
			!q.CreatedAfter.IsZero() && !f.CreatedAt.After(q.CreatedAfter),
			!q.CreatedBefore.IsZero() && !f.CreatedAt.Before(q.CreatedBefore):
		default:
			found = append(found, s.judged(f))
		}
	}
	return found
}

func orderOf(sort files.Sort) func(a, b files.File) int {
	name, down := strings.CutPrefix(string(sort), "-")
	return func(a, b files.File) int {
		c := a.CreatedAt.Compare(b.CreatedAt)
		switch name {
		case "name":
			c = strings.Compare(a.Fold, b.Fold)
		case "size":
			c = cmp.Compare(a.Size, b.Size)
		}
		c = cmp.Or(c, strings.Compare(string(a.ID), string(b.ID)))
		if down {
			return -c
		}
		return c
	}
}

func (s *state) DueFiles(_ context.Context, q files.DueQuery) ([]files.File, error) {
	var found []files.File
	for _, id := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[id]
		trashed := !f.DeletedAt.IsZero()
		due := q.Owner != "" && f.Owner == q.Owner ||
			!q.TrashedBefore.IsZero() && trashed && !f.DeletedAt.After(q.TrashedBefore) ||
			!q.ExpiredBefore.IsZero() && !trashed && !f.ExpiresAt.IsZero() && !f.ExpiresAt.After(q.ExpiredBefore)
		if due && len(found) < q.Limit {
			found = append(found, s.judged(f))
		}
	}
	return found, nil
}

func (s *state) TrashedFiles(_ context.Context, owner files.OwnerID, after *files.TrashPlace, limit int) ([]files.File, error) {
	order := func(a, b files.File) int {
		return cmp.Or(b.DeletedAt.Compare(a.DeletedAt), strings.Compare(string(b.ID), string(a.ID)))
	}
	var found []files.File
	for _, f := range s.files {
		behind := after == nil || order(files.File{ID: after.ID, DeletedAt: time.UnixMicro(after.Deleted)}, f) < 0
		if f.Owner == owner && !f.DeletedAt.IsZero() && behind {
			found = append(found, s.judged(f))
		}
	}
	slices.SortFunc(found, order)
	return found[:min(limit, len(found))], nil
}

func (s *state) InsertFile(_ context.Context, f files.File) error {
	f.Metadata = maps.Clone(f.Metadata)
	return insert(s.files, f.ID, f)
}

func (s *state) UpdateFile(_ context.Context, f files.File) error {
	if old, ok := s.files[f.ID]; !ok || old.Revision != f.Revision-1 {
		return conflict()
	}
	f.Metadata = maps.Clone(f.Metadata)
	s.files[f.ID] = f
	return nil
}

func (s *state) DeleteFile(_ context.Context, id files.FileID) error {
	if _, ok := s.files[id]; !ok {
		return notFound()
	}
	if len(s.versions[id]) > 0 {
		return conflict()
	}
	delete(s.files, id)
	return nil
}

func (s *state) Versions(_ context.Context, id files.FileID) ([]files.Version, error) {
	found := slices.Clone(s.versions[id])
	for i := range found {
		found[i].Flaw = s.blobs[found[i].Blob].Flaw
	}
	return found, nil
}

func (s *state) VersionOf(_ context.Context, id files.BlobID) (files.Version, error) {
	for _, versions := range s.versions {
		for _, v := range versions { // the newest first
			if v.Blob == id {
				v.Flaw = s.blobs[id].Flaw
				return v, nil
			}
		}
	}
	return files.Version{}, notFound()
}

func (s *state) InsertVersion(_ context.Context, v files.Version) error {
	_, known := s.files[v.File]
	_, stored := s.blobs[v.Blob]
	if !known || !stored {
		return notFound()
	}
	s.versions[v.File] = append([]files.Version{v}, s.versions[v.File]...)
	return nil
}

func (s *state) DeleteVersion(_ context.Context, id files.FileID, number int64) error {
	old := s.versions[id]
	i := slices.IndexFunc(old, func(v files.Version) bool { return v.Number == number })
	if i < 0 {
		return notFound()
	}
	s.versions[id] = slices.Concat(old[:i], old[i+1:])
	return nil
}
