package files_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

var errStuck = fault.New(fault.Unavailable, "it can't be removed")

// clinging is a store that can't remove the bytes of one upload, nor what an epoch leaves.
type clinging struct {
	files.Blobs
	upload files.UploadID
	epoch  files.EpochID
}

func (s clinging) RemovePartials(ctx context.Context, ids []files.UploadID) error {
	if slices.Contains(ids, s.upload) {
		return errStuck
	}
	return s.Blobs.RemovePartials(ctx, ids)
}

func (s clinging) Forget(ctx context.Context, epoch files.EpochID) error {
	if epoch == s.epoch {
		return errStuck
	}
	return s.Blobs.Forget(ctx, epoch)
}

func TestReap_RemovesStraysBehindOneThatStays(t *testing.T) {
	stores := filestest.Memory()
	stores.Blobs = clinging{Blobs: stores.Blobs, upload: "a"}
	for _, id := range []files.UploadID{"a", "b", "c"} {
		sink, err := stores.Blobs.AppendPartial(t.Context(), files.Partial{ID: id})
		if err == nil {
			err = sink.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := filestest.New(t, stores, files.Options{}).Reap(t.Context()); !errors.Is(err, errStuck) {
		t.Errorf("the pass: %v", err)
	}
	var left []files.UploadID
	err := stores.Blobs.WalkPartials(t.Context(), func(id files.UploadID) error {
		left = append(left, id)
		return nil
	})
	if err != nil || !slices.Equal(left, []files.UploadID{"a"}) {
		t.Errorf("left are %v, %v", left, err)
	}
}

// unwilling is a catalog that can't delete one upload.
type unwilling struct {
	files.Catalog
	upload files.UploadID
}

func (u *unwilling) Write(ctx context.Context, fn func(files.Tx) error) error {
	return u.Catalog.Write(ctx, func(tx files.Tx) error { return fn(unwillingTx{tx, u.upload}) })
}

type unwillingTx struct {
	files.Tx
	upload files.UploadID
}

func (tx unwillingTx) DeleteUpload(ctx context.Context, id files.UploadID) error {
	if id == tx.upload {
		return errStuck
	}
	return tx.Tx.DeleteUpload(ctx, id)
}

func TestReap_ExpiresUploadsBehindOneThatStays(t *testing.T) {
	catalog, clock := &unwilling{Catalog: filestest.NewCatalog()}, filestest.NewClock()
	s := filestest.New(t, filestest.Stores{Catalog: catalog, Blobs: filestest.NewBlobs()}, files.Options{Now: clock.Now})
	var ids []files.UploadID
	for range 3 {
		up, err := s.CreateUpload(filestest.As(t.Context(), ann), ann, files.NewUpload{File: files.NewFile{Name: "a", Size: 1}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, up.ID)
	}
	catalog.upload = slices.Min(ids)
	clock.Advance(48 * time.Hour)
	if err := s.Reap(t.Context()); !errors.Is(err, errStuck) {
		t.Errorf("the pass: %v", err)
	}
	var open files.UploadStats
	err := catalog.Read(t.Context(), func(tx files.ReadTx) (err error) {
		open, err = tx.UploadStats(t.Context())
		return err
	})
	if err != nil || open.Open != 1 {
		t.Errorf("open are %+v, %v", open, err)
	}
}

func TestReap_ForgetsEpochsBehindOneThatStays(t *testing.T) {
	stores := filestest.Memory()
	stores.Blobs = clinging{Blobs: stores.Blobs, epoch: filestest.EpochA}
	err := stores.Catalog.Write(t.Context(), func(tx files.Tx) error {
		return errors.Join(tx.InsertEpoch(t.Context(), files.Epoch{ID: filestest.EpochA, State: files.EpochClosed}),
			tx.InsertEpoch(t.Context(), files.Epoch{ID: filestest.EpochB, State: files.EpochClosed}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := filestest.New(t, stores, files.Options{}).Reap(t.Context()); !errors.Is(err, errStuck) {
		t.Errorf("the pass: %v", err)
	}
	if got := epochs(t, stores.Catalog)[files.EpochClosed]; got != 1 {
		t.Errorf("%d closed epochs are left, want the one that stays", got)
	}
}

func TestErase_RemovesFilesBesideAnUploadThatStays(t *testing.T) {
	catalog := &unwilling{Catalog: filestest.NewCatalog()}
	s := filestest.New(t, filestest.Stores{Catalog: catalog, Blobs: filestest.NewBlobs()}, files.Options{})
	f, err := create(t, s, files.NewFile{Name: "f"})
	if err != nil {
		t.Fatal(err)
	}
	up, err := s.CreateUpload(filestest.As(t.Context(), ann), ann, files.NewUpload{File: files.NewFile{Name: "a", Size: 1}})
	if err != nil {
		t.Fatal(err)
	}
	catalog.upload = up.ID
	if err := s.EraseOwner(t.Context(), ann); !errors.Is(err, errStuck) {
		t.Errorf("erasing: %v", err)
	}
	err = catalog.Read(t.Context(), func(tx files.ReadTx) error {
		_, err := tx.File(t.Context(), f.ID)
		return err
	})
	if !errors.Is(err, fault.Of(fault.NotFound)) {
		t.Errorf("the file is still there: %v", err)
	}
}
