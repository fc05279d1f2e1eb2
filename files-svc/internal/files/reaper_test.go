package files_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

// stuck is a store that can't delete the first blobs it is asked for, nor be walked through an epoch.
type stuck struct {
	*filestest.Blobs
	most   int
	bad    map[files.BlobID]bool
	closed files.EpochID
}

func (s *stuck) Delete(ctx context.Context, ids []files.BlobID) ([]files.BlobID, error) {
	var can []files.BlobID
	for _, id := range ids {
		if len(s.bad) < s.most {
			s.bad[id] = true
		}
		if !s.bad[id] {
			can = append(can, id)
		}
	}
	gone, err := s.Blobs.Delete(ctx, can)
	if len(can) < len(ids) {
		err = errors.Join(err, fault.New(fault.Unavailable, "input/output error"))
	}
	return gone, err
}

func (s *stuck) Walk(ctx context.Context, e files.EpochID, from int64, fn func(files.BlobID) error) error {
	if e == s.closed {
		return fault.New(fault.Unavailable, "input/output error")
	}
	return s.Blobs.Walk(ctx, e, from, fn)
}

func reapedStore(t *testing.T, blobs *stuck, deleted int) (*files.Service, *filestest.Catalog, *filestest.Clock) {
	t.Helper()
	clock, catalog := filestest.NewClock(), filestest.NewCatalog()
	blobs.Blobs, blobs.bad = filestest.NewBlobs(), map[files.BlobID]bool{}
	s := filestest.New(t, filestest.Stores{Catalog: catalog, Blobs: blobs}, files.Options{Now: clock.Now})
	ctx := filestest.As(t.Context(), ann)
	for range deleted {
		f, err := s.Create(ctx, ann, files.NewFile{Name: "a", Size: 1}, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, ann, f.ID, true); err != nil {
			t.Fatal(err)
		}
	}
	return s, catalog, clock
}

// A bad sector, or a lock on an object, keeps nothing else in the store, and no row of what has gone.
func TestReap_GoesOnPastWhatCantBeDeleted(t *testing.T) {
	const deleted = 900
	for _, most := range []int{1, 200, 650} {
		blobs := &stuck{most: most}
		s, catalog, clock := reapedStore(t, blobs, deleted)
		for range 5 {
			clock.Advance(25 * time.Hour)
			if err := s.Reap(t.Context()); err == nil && len(blobs.bad) > 0 {
				t.Errorf("%d: nobody is told that something can't be deleted", most)
			}
		}
		if left := len(filestest.Keys(t, blobs)); left != most {
			t.Errorf("%d can't be deleted, and %d are still there", most, left)
		}
		if err := catalog.Read(t.Context(), func(tx files.ReadTx) error {
			stats, err := tx.BlobStats(t.Context())
			if n := stats[files.BlobTombstone].Blobs; n != 0 {
				t.Errorf("%d: %d tombstones are kept for ever", most, n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		blobs.most, blobs.bad = 0, map[files.BlobID]bool{} // repaired
		clock.Advance(time.Minute)
		if err := s.Reap(t.Context()); err != nil || len(filestest.Keys(t, blobs)) != 0 {
			t.Errorf("%d: after the repair: %v, %d are there", most, err, len(filestest.Keys(t, blobs)))
		}
	}
}

// A dead writer's folder that can't be read hides nothing of the living one's.
func TestReap_SearchesPastAnEpochThatCantBeRead(t *testing.T) {
	blobs := &stuck{}
	s, _, clock := reapedStore(t, blobs, 0)
	ctx := filestest.As(t.Context(), ann)
	orphan := func(e files.EpochID) {
		t.Helper()
		sink, err := blobs.Create(ctx, files.NewBlobID(e, 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	orphan(filestest.EpochA)
	orphan(filestest.EpochB)
	blobs.closed = min(filestest.EpochA, filestest.EpochB)
	for range 6 {
		clock.Advance(25 * time.Hour)
		if err := s.Reap(ctx); err == nil {
			t.Error("nobody is told that an epoch can't be read")
		}
	}
	blobs.closed = ""
	if left := len(filestest.Keys(t, blobs)); left != 1 {
		t.Errorf("%d keys that no row knows are there, want the one that can't be seen", left)
	}
}
