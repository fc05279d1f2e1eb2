package filestest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// Noon is the moment the suites' rows are made at.
var Noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// EpochA and EpochB are two epochs of the suites.
const (
	EpochA files.EpochID = "0199d3f0-7a51-7c3e-9b1c-6f2a5d0e4b7a"
	EpochB files.EpochID = "0199d3f0-7a51-7c3e-9b1c-6f2a5d0e4b7b"
)

// RunCatalog holds a catalog to its port. open makes an empty one.
func RunCatalog(t *testing.T, open func(t *testing.T) files.Catalog) {
	for name, check := range map[string]func(*testing.T, catalogTest){
		"a failed transaction leaves nothing":     checkRollback,
		"a transaction sees its own writes":       checkOwnWrites,
		"concurrent transactions lose no update":  checkSerial,
		"files round-trip":                        checkFiles,
		"files are written only over what was":    checkFileConflicts,
		"a name is found only while visible":      checkNamed,
		"lists keep order, filters and cursors":   checkLists,
		"lists by cursor see stable rows once":    checkCursors,
		"due files":                               checkDue,
		"versions":                                checkVersions,
		"blobs move only from the state they are": checkBlobs,
		"blobs are found by state and epoch":      checkBlobSearch,
		"owners":                                  checkOwners,
		"accounts are right whoever fails beside": checkAccounts,
		"epochs":                           checkEpochs,
		"events keep the order of commits": checkEvents,
		"log position":                     checkPosition,
		"uploads":                          checkUploads,
		"uploads that are due":             checkDueUploads,
		"the trash keeps its order":        checkTrashList,
		"versions may share a blob":        checkSharedBlob,
		"links":                            checkLinkRows,
		"the range of events":              checkEventRange,
		"receipts":                         checkReceipts,
		"imports":                          checkImportRows,
	} {
		t.Run(name, func(t *testing.T) { check(t, catalogTest{open(t)}) })
	}
}

// catalogTest is a catalog with short ways to use it.
type catalogTest struct{ files.Catalog }

func (c catalogTest) write(t *testing.T, fn func(ctx context.Context, tx files.Tx) error) {
	t.Helper()
	if err := c.Write(t.Context(), func(tx files.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func (c catalogTest) read(t *testing.T, fn func(ctx context.Context, tx files.ReadTx) error) {
	t.Helper()
	if err := c.Read(t.Context(), func(tx files.ReadTx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// refuses expects a transaction to fail with a kind.
func (c catalogTest) refuses(t *testing.T, kind fault.Kind, fn func(ctx context.Context, tx files.Tx) error) {
	t.Helper()
	err := c.Write(t.Context(), func(tx files.Tx) error { return fn(t.Context(), tx) })
	if !errors.Is(err, fault.Of(kind)) {
		t.Fatalf("got error %v, want kind %d", err, kind)
	}
}

// store adds a file with one version and its blob, as an upload does.
func store(ctx context.Context, tx files.Tx, f files.File) error {
	blob := files.Blob{ID: f.Blob, Owner: f.Owner, State: files.BlobLive, Size: f.Size, SHA256: f.SHA256, ChangedAt: f.CreatedAt}
	version := files.Version{
		File: f.ID, Number: f.Version, Blob: f.Blob, Size: f.Size, SHA256: f.SHA256, ContentType: f.ContentType, CreatedAt: f.ContentAt,
	}
	return errors.Join(tx.InsertBlob(ctx, blob), tx.InsertFile(ctx, f), tx.InsertVersion(ctx, version))
}

// sample is a file with all its fields set, the n-th of its owner.
func sample(owner files.OwnerID, n int) files.File {
	return files.File{
		ID: files.FileID(fmt.Sprintf("%s-%04d", owner, n)), Owner: owner, Name: fmt.Sprintf("File %d.txt", n),
		Fold: fmt.Sprintf("file %d.txt", n), ContentType: "text/plain; charset=utf-8", Size: int64(n), SHA256: files.Digest{byte(n), 1},
		Version: 1, Metadata: files.Metadata{}, CreatedAt: Noon.Add(time.Duration(n) * time.Microsecond),
		ContentAt: Noon.Add(time.Second), UpdatedAt: Noon.Add(2 * time.Second), Blob: files.NewBlobID(EpochA, int64(n)), Revision: 1,
	}
}

func checkRollback(t *testing.T, c catalogTest) {
	boom := errors.New("boom")
	err := c.Write(t.Context(), func(tx files.Tx) error {
		return errors.Join(store(t.Context(), tx, sample("ann", 1)), tx.SaveOwner(t.Context(), files.Owner{ID: "ann", Bytes: 1}), boom)
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want the function's own error", err)
	}
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		o, err := tx.Owner(ctx, "ann")
		if o.Bytes != 0 {
			t.Errorf("owner kept %d bytes", o.Bytes)
		}
		if _, err := tx.File(ctx, "ann-0001"); !errors.Is(err, fault.Of(fault.NotFound)) {
			t.Errorf("file: got %v, want NotFound", err)
		}
		return err
	})
}

func checkOwnWrites(t *testing.T, c catalogTest) {
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		if err := store(ctx, tx, sample("ann", 1)); err != nil {
			return err
		}
		_, err := tx.File(ctx, "ann-0001")
		return err
	})
}

func checkSerial(t *testing.T, c catalogTest) {
	const writers, rounds = 8, 10
	errs := make(chan error, writers)
	for range writers {
		go func() {
			var err error
			for range rounds {
				err = errors.Join(err, c.Write(t.Context(), func(tx files.Tx) error {
					o, err := tx.Owner(t.Context(), "ann")
					o.Bytes++
					return errors.Join(err, tx.SaveOwner(t.Context(), o))
				}))
			}
			errs <- err
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		o, err := tx.Owner(ctx, "ann")
		if o.Bytes != writers*rounds {
			t.Errorf("got %d updates, want %d", o.Bytes, writers*rounds)
		}
		return err
	})
}

func checkFiles(t *testing.T, c catalogTest) {
	want := sample("ann", 1)
	want.Metadata = files.Metadata{"ключ": "значение\nдва"}
	want.Name, want.Fold = "Отчёт 🧥.PDF", "отчёт 🧥.pdf"
	want.ExpiresAt = Noon.Add(time.Hour)
	c.write(t, func(ctx context.Context, tx files.Tx) error { return store(ctx, tx, want) })
	expectFile(t, c, want)

	want.Name, want.Fold, want.Metadata, want.Revision = "b", "b", files.Metadata{}, 2
	want.DeletedAt, want.ExpiresAt, want.UpdatedAt = Noon.Add(3*time.Hour), time.Time{}, Noon.Add(3*time.Hour)
	c.write(t, func(ctx context.Context, tx files.Tx) error { return tx.UpdateFile(ctx, want) })
	expectFile(t, c, want)

	c.write(t, func(ctx context.Context, tx files.Tx) error {
		return errors.Join(tx.DeleteVersion(ctx, want.ID, 1), tx.DeleteFile(ctx, want.ID))
	})
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error {
		_, err := tx.File(ctx, want.ID)
		return err
	})
}

func expectFile(t *testing.T, c catalogTest, want files.File) {
	t.Helper()
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		got, err := tx.File(ctx, want.ID)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("file (-want +got):\n%s", diff)
		}
		return err
	})
}

func checkFileConflicts(t *testing.T, c catalogTest) {
	f := sample("ann", 1)
	c.write(t, func(ctx context.Context, tx files.Tx) error { return store(ctx, tx, f) })
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.InsertFile(ctx, f) })
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.UpdateFile(ctx, f) })
	f.Revision = 3
	c.refuses(t, fault.Conflict, func(ctx context.Context, tx files.Tx) error { return tx.UpdateFile(ctx, f) })
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error { return tx.DeleteFile(ctx, "nobody") })
	c.refuses(t, fault.NotFound, func(ctx context.Context, tx files.Tx) error { return tx.DeleteVersion(ctx, f.ID, 2) })
}

func checkNamed(t *testing.T, c catalogTest) {
	f := sample("ann", 1)
	f.ExpiresAt = Noon.Add(time.Hour)
	gone := sample("ann", 2)
	gone.DeletedAt = Noon
	c.write(t, func(ctx context.Context, tx files.Tx) error {
		return errors.Join(store(ctx, tx, f), store(ctx, tx, gone))
	})
	c.read(t, func(ctx context.Context, tx files.ReadTx) error {
		for _, ask := range []struct {
			owner files.OwnerID
			name  string
			fold  string
			now   time.Time
			want  bool
		}{
			{"ann", f.Name, f.Fold, Noon, true},
			{"ann", "FILE 1.txt", f.Fold, Noon, false},
			{"ann", f.Name, f.Fold, Noon.Add(time.Hour), false},
			{"ann", gone.Name, gone.Fold, Noon, false},
			{"bob", f.Name, f.Fold, Noon, false},
		} {
			got, err := tx.FileNamed(ctx, ask.owner, ask.name, ask.fold, ask.now)
			if err != nil || got != ask.want {
				t.Errorf("FileNamed(%v) = %v, %v", ask, got, err)
			}
		}
		return nil
	})
}
