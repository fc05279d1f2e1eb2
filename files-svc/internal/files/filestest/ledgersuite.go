package filestest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

func expect[T any](t *testing.T, what string, want, got T, err error) error {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" && err == nil {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
	return err
}

func checkVersions(t *testing.T, c catalogTest) {
	f := sample("ann", 1)
	second := files.Version{
		File: f.ID, Number: 2, Blob: files.NewBlobID(EpochA, 2), Size: 7, SHA256: files.Digest{9}, ContentType: "a/b", CreatedAt: Noon,
	}
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		blob := files.Blob{ID: second.Blob, State: files.BlobLive, Size: 7, ChangedAt: Noon}
		return errors.Join(store(ctx, tx, f), tx.InsertBlob(ctx, blob), tx.InsertVersion(ctx, second))
	})
	first := files.Version{
		File: f.ID, Number: 1, Blob: f.Blob, Size: f.Size, SHA256: f.SHA256, ContentType: f.ContentType, CreatedAt: f.ContentAt,
	}
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.Versions(ctx, f.ID)
		return expect(t, "versions", []files.Version{second, first}, got, err)
	})
	restored := first
	restored.Number, restored.CreatedAt = 3, Noon.Add(time.Second)
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.InsertVersion(ctx, restored) })
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		newest, newestErr := tx.VersionOf(ctx, first.Blob)
		only, onlyErr := tx.VersionOf(ctx, second.Blob)
		return errors.Join(expect(t, "newest version of a blob", restored, newest, newestErr), expect(t, "version of a blob", second, only, onlyErr))
	})
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error {
		_, err := tx.VersionOf(ctx, files.NewBlobID(EpochA, 99))
		return err
	})
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		return errors.Join(tx.DeleteVersion(ctx, f.ID, 3), tx.DeleteVersion(ctx, f.ID, 1))
	})
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.Versions(ctx, f.ID)
		return expect(t, "versions", []files.Version{second}, got, err)
	})
}

func checkBlobs(t *testing.T, c catalogTest) {
	b := files.Blob{ID: files.NewBlobID(EpochA, 1), Owner: "ann", State: files.BlobPending, Reserved: 5, ChangedAt: Noon}
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.InsertBlob(ctx, b) })
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.InsertBlob(ctx, b) })

	b.State, b.Reserved, b.Size, b.SHA256, b.ChangedAt = files.BlobLive, 0, 5, files.Digest{1}, Noon.Add(time.Second)
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.UpdateBlob(ctx, b, files.BlobDead) })
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.UpdateBlob(ctx, b, files.BlobPending) })
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.Blob(ctx, b.ID)
		return expect(t, "blob", b, got, err)
	})
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.DeleteBlob(ctx, b.ID, files.BlobTombstone) })
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.DeleteBlob(ctx, b.ID, files.BlobLive) })
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error {
		_, err := tx.Blob(ctx, b.ID)
		return err
	})

	f := sample("ann", 2)
	c.write(t, func(ctx context.Context, tx files.Tx) error { return store(ctx, tx, f) })
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.DeleteBlob(ctx, f.Blob, files.BlobLive) })
}

func checkBlobSearch(t *testing.T, c catalogTest) {
	blob := func(epoch files.EpochID, seq int64, state files.BlobState, at time.Duration) files.Blob {
		return files.Blob{ID: files.NewBlobID(epoch, seq), Owner: "ann", State: state, Size: 10, Reserved: seq, ChangedAt: Noon.Add(at)}
	}
	pending1, pending2 := blob(EpochA, 1, files.BlobPending, 0), blob(EpochA, 2, files.BlobPending, 0)
	dead1, dead2 := blob(EpochA, 3, files.BlobDead, 2*time.Second), blob(EpochB, 4, files.BlobDead, time.Second)
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		var errs []error
		for _, b := range []files.Blob{pending2, pending1, dead1, dead2, blob(EpochB, 5, files.BlobPending, 0), blob(EpochB, 6, files.BlobTombstone, 0)} {
			errs = append(errs, tx.InsertBlob(ctx, b))
		}
		return errors.Join(append(errs, store(ctx, tx, sample("ann", 7)), tx.SaveOwner(ctx, files.Owner{ID: "ann", Bytes: 7, Versions: 1}))...)
	})
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		list := func(what string, want []files.Blob, got []files.Blob, err error) error {
			return expect(t, what, want, got, err)
		}
		pending, err1 := tx.PendingBlobs(ctx, EpochA, 9)
		one, err2 := tx.PendingBlobs(ctx, EpochA, 1)
		dead, err3 := tx.BlobsIn(ctx, files.BlobDead, Noon.Add(2*time.Second), 9)
		old, err4 := tx.BlobsIn(ctx, files.BlobDead, Noon.Add(time.Second), 9)
		few, err5 := tx.BlobsIn(ctx, files.BlobDead, Noon.Add(time.Hour), 1)
		stats, err6 := tx.BlobStats(ctx)
		known, err9 := tx.KnownBlobs(ctx, []files.BlobID{dead1.ID, files.NewBlobID(EpochA, 8), pending2.ID, dead1.ID, `no"blob's`})
		nobody, err10 := tx.KnownBlobs(ctx, nil)
		has, err7 := tx.EpochHasBlobs(ctx, EpochB)
		none, err8 := tx.EpochHasBlobs(ctx, EpochB[:len(EpochB)-1])
		return errors.Join(
			list("pending", []files.Blob{pending1, pending2}, pending, err1), list("one pending", []files.Blob{pending1}, one, err2),
			list("dead", []files.Blob{dead2, dead1}, dead, err3), list("dead for long", []files.Blob{dead2}, old, err4),
			list("longest dead", []files.Blob{dead2}, few, err5),
			expect(t, "stats", map[files.BlobState]files.BlobStat{
				files.BlobPending: {Blobs: 3, Bytes: 8}, files.BlobLive: {Blobs: 1, Bytes: 7}, files.BlobDead: {Blobs: 2, Bytes: 20},
				files.BlobTombstone: {Blobs: 1, Bytes: 10},
			}, stats, err6),
			expect(t, "known", map[files.BlobID]bool{dead1.ID: true, pending2.ID: true}, known, err9),
			expect(t, "known of none", map[files.BlobID]bool{}, nobody, err10),
			expect(t, "epoch has blobs", true, has, err7), expect(t, "part of an epoch's name has blobs", false, none, err8),
		)
	})
}

func checkOwners(t *testing.T, c catalogTest) {
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.Owner(ctx, "ann")
		return expect(t, "unknown owner", files.Owner{ID: "ann"}, got, err)
	})
	for _, want := range []files.Owner{
		{ID: "ann", Bytes: 1, Reserved: 2, Files: 3, Versions: 4},
		{ID: "ann", Bytes: 5, Reserved: 6, Files: 7, Versions: 8, ErasedAt: Noon},
	} {
		c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.SaveOwner(ctx, want) })
		c.read(t, func(ctx context.Context, tx files.ReadTx) error {
			got, err := tx.Owner(ctx, "ann")
			return expect(t, "owner", want, got, err)
		})
	}
}

// checkAccounts lets writes that fail late run among others, which may share a commit with them.
func checkAccounts(t *testing.T, c catalogTest) {
	const each, failsEvery = 60, 3
	late := errors.New("late")
	var wait sync.WaitGroup
	for n := range each {
		for _, owner := range []files.OwnerID{"ann", "bob"} {
			wait.Go(func() {
				err := c.Write(t.Context(), func(tx files.Tx) error {
					o, err := tx.Owner(t.Context(), owner)
					if err != nil {
						return err
					}
					o.Bytes++
					if err := tx.SaveOwner(t.Context(), o); err != nil {
						return err
					}
					if again, err := tx.Owner(t.Context(), owner); err != nil || again != o {
						return fmt.Errorf("read %v after writing %v: %w", again, o, err)
					}
					if n%failsEvery == 0 {
						return late
					}
					return nil
				})
				if (n%failsEvery == 0) != errors.Is(err, late) || err != nil && !errors.Is(err, late) {
					t.Errorf("write %d: %v", n, err)
				}
			})
		}
	}
	wait.Wait()
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		ann, err := tx.Owner(ctx, "ann")
		bob, err2 := tx.Owner(ctx, "bob")
		const kept = each - each/failsEvery
		return errors.Join(
			expect(t, "account", files.Owner{ID: "ann", Bytes: kept}, ann, err), expect(t, "account", files.Owner{ID: "bob", Bytes: kept}, bob, err2))
	})
}

func checkEpochs(t *testing.T, c catalogTest) {
	a := files.Epoch{ID: EpochA, State: files.EpochOpen, Beats: 1, Settled: 2, ChangedAt: Noon}
	b := files.Epoch{ID: EpochB, State: files.EpochOpen, ChangedAt: Noon}
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		return errors.Join(tx.InsertEpoch(ctx, b), tx.InsertEpoch(ctx, a))
	})
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.InsertEpoch(ctx, a) })
	a.State, a.Beats, a.Settled, a.ChangedAt = files.EpochFenced, 7, 8, Noon.Add(time.Second)
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.UpdateEpoch(ctx, a, files.EpochFenced) })
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		before, err := tx.Epoch(ctx, EpochA)
		err2 := tx.UpdateEpoch(ctx, a, files.EpochOpen)
		after, err3 := tx.Epoch(ctx, EpochA)
		return errors.Join(err2, expect(t, "state before", files.EpochOpen, before.State, err), expect(t, "epoch after", a, after, err3))
	})
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		all, err := tx.Epochs(ctx)
		one, err2 := tx.Epoch(ctx, EpochA)
		return errors.Join(expect(t, "epochs", []files.Epoch{a, b}, all, err), expect(t, "epoch", a, one, err2))
	})
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.DeleteEpoch(ctx, EpochA) })
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error {
		_, err := tx.Epoch(ctx, EpochA)
		return err
	})
}

func checkEvents(t *testing.T, c catalogTest) {
	for n := range 5 {
		e := files.Event{Kind: files.FileCreated, Owner: "ann", File: "f", Version: int64(n), At: Noon.Add(time.Duration(n) * time.Hour)}
		c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.AppendEvent(ctx, e) })
	}
	trim := func(limit int, want int64) {
		t.Helper()
		c.write(t, func(ctx context.Context, tx files.Tx) error {
			n, err := tx.TrimEvents(ctx, Noon.Add(3*time.Hour), limit)
			return expect(t, "trimmed", want, n, err)
		})
	}
	trim(2, 2)
	trim(2, 1)
	trim(2, 0)
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.EventsAfter(ctx, 0, 9)
		if len(got) != 2 || got[0].Version != 3 || got[1].Version != 4 || got[0].Seq >= got[1].Seq || !got[0].At.Equal(Noon.Add(3*time.Hour)) {
			t.Fatalf("events: %+v", got)
		}
		rest, err2 := tx.EventsAfter(ctx, got[0].Seq, 9)
		return errors.Join(err, expect(t, "rest", got[1:], rest, err2))
	})
}

func checkPosition(t *testing.T, c catalogTest) {
	for _, want := range []int64{0, 42, 7} {
		if want > 0 {
			c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.SetLogPosition(ctx, want) })
		}
		c.read(t, func(ctx context.Context, tx files.ReadTx) error {
			got, err := tx.LogPosition(ctx)
			return expect(t, "position", want, got, err)
		})
	}
}
