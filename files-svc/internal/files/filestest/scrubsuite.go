package filestest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
)

// RunScrub holds a catalog to the scrub's part of its port.
func RunScrub(t *testing.T, open func(t *testing.T) files.Catalog) {
	t.Run("a file is read with what is wrong with its bytes", func(t *testing.T) { checkFlawOfFile(t, catalogTest{open(t)}) })
	t.Run("live blobs come by their verification, flaws are counted", func(t *testing.T) { checkLiveBlobs(t, catalogTest{open(t)}) })
}

func checkFlawOfFile(t *testing.T, c catalogTest) {
	blob := files.Blob{ID: files.NewBlobID(EpochA, 1), Owner: "ann", State: files.BlobLive, Size: 1, ChangedAt: Noon, Flaw: files.FlawInfected}
	f := files.File{ID: "f", Owner: "ann", Name: "a", Fold: "a", Version: 1, Blob: blob.ID, Size: 1, CreatedAt: Noon, ContentAt: Noon, UpdatedAt: Noon, Revision: 1}
	judge := func(want files.Flaw) {
		t.Helper()
		c.read(t, func(ctx context.Context, tx files.ReadTx) error {
			got, err := tx.File(ctx, "f")
			list, listErr := tx.Files(ctx, "ann", files.ListQuery{Sort: files.SortName}, files.Window{Now: Noon, Limit: 10})
			versions, versionsErr := tx.Versions(ctx, "f")
			if got.Flaw != want || len(list) != 1 || list[0].Flaw != want || len(versions) != 1 || versions[0].Flaw != want {
				t.Errorf("got %q, in the list %+v, its version %+v, want %q", got.Flaw, list, versions, want)
			}
			return errors.Join(err, listErr, versionsErr)
		})
	}
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		version := files.Version{File: f.ID, Number: 1, Blob: blob.ID, Size: 1, CreatedAt: Noon}
		return errors.Join(tx.InsertBlob(ctx, blob), tx.InsertFile(ctx, f), tx.InsertVersion(ctx, version))
	})
	judge(files.FlawInfected)
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		blob.Flaw = files.FlawNone
		return tx.UpdateBlob(ctx, blob, files.BlobLive)
	})
	judge(files.FlawNone)
}

func checkLiveBlobs(t *testing.T, c catalogTest) {
	blob := func(seq int64, state files.BlobState, minute int, flaw files.Flaw) files.Blob {
		b := files.Blob{ID: files.NewBlobID(EpochA, seq), Owner: "ann", State: state, Size: 10 * seq, ChangedAt: Noon, Flaw: flaw}
		b.VerifiedAt = Noon.Add(time.Duration(minute) * time.Minute)
		return b
	}
	never := blob(6, files.BlobLive, 0, files.FlawNone)
	never.VerifiedAt = time.Time{}
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		for _, b := range []files.Blob{
			blob(1, files.BlobLive, 3, files.FlawCorrupt), blob(2, files.BlobLive, 1, files.FlawNone), blob(3, files.BlobDead, 0, files.FlawMissing),
			blob(4, files.BlobLive, 1, files.FlawCorrupt), blob(5, files.BlobLive, 2, files.FlawInfected), never,
		} {
			if err := tx.InsertBlob(ctx, b); err != nil {
				return err
			}
		}
		found := blob(2, files.BlobLive, 5, files.FlawMissing)
		return tx.UpdateBlob(ctx, found, files.BlobLive)
	})
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		for _, q := range []struct {
			after files.VerifyPlace
			until time.Time
			limit int
			want  string
		}{
			{files.VerifyPlace{}, Noon.Add(time.Hour), 10, "64512"},
			{files.VerifyPlace{}, Noon.Add(3 * time.Minute), 10, "6451"},
			{files.VerifyPlace{}, Noon.Add(time.Hour), 2, "64"},
			{files.VerifyPlace{ID: never.ID}, Noon.Add(time.Hour), 10, "4512"},
			{files.VerifyPlace{At: Noon.Add(time.Minute), ID: files.NewBlobID(EpochA, 4)}, Noon.Add(time.Hour), 10, "512"},
			{files.VerifyPlace{At: Noon.Add(time.Minute), ID: files.NewBlobID(EpochA, 1)}, Noon.Add(time.Hour), 10, "4512"},
		} {
			rows, err := tx.LiveBlobs(ctx, q.after, q.until, q.limit)
			if err != nil {
				return err
			}
			got := ""
			for _, b := range rows {
				_, seq, _ := b.ID.Split()
				got += string(rune('0' + seq))
			}
			if got != q.want {
				t.Errorf("after %v until %v: got blobs %s, want %s", q.after, q.until, got, q.want)
			}
		}
		stats, err := tx.FlawStats(ctx)
		want := map[files.Flaw]files.BlobStat{
			files.FlawCorrupt: {Blobs: 2, Bytes: 50}, files.FlawInfected: {Blobs: 1, Bytes: 50}, files.FlawMissing: {Blobs: 1, Bytes: 20},
		}
		if diff := cmp.Diff(want, stats); diff != "" {
			t.Errorf("flaws (-want +got):\n%s", diff)
		}
		return err
	})
}
