package disk_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/files"
)

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

// Deleting gives the room back at once, while neighbours stay; the last one takes the pack along, once its writer has moved on.
func TestPack_DeletingGivesRoomBack(t *testing.T) {
	folder := t.TempDir()
	b, err := disk.New(folder, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("x"), 60<<10)
	for seq := range int64(10) {
		if err := putBytes(t, b, seq, content); err != nil {
			t.Fatal(err)
		}
	}
	before := blocks(t, packOf(folder, "0"))
	for seq := range int64(9) {
		if gone, err := b.Delete(t.Context(), []files.BlobID{blob(seq)}); err != nil || len(gone) != 1 {
			t.Fatal(gone, err)
		}
	}
	const extents = 4 << 10 // what the filesystem may take for its own list of a file in pieces
	if freed := before - blocks(t, packOf(folder, "0")); freed < 9*60<<10-extents || freed > 9*60<<10+extents {
		t.Errorf("nine deletions gave %d bytes back", freed)
	}
	wantBytes(t, b, 9, content)
	if got := walked(t, b); len(got) != 1 {
		t.Errorf("walk saw %v", got)
	}
	if _, err := b.Delete(t.Context(), []files.BlobID{blob(9)}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(packOf(folder, "0")); err != nil {
		t.Fatalf("a pack was removed under its writer: %v", err)
	}
	if err := putBytes(t, b, 10, content); err != nil {
		t.Fatal(err)
	}
	other := open(t, folder, disk.Options{})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Delete(t.Context(), []files.BlobID{blob(10)}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(packOf(folder, "0")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dead pack without a writer is still there: %v", err)
	}
}

// A crash between the mark and the hole leaves room that is taken: deleting again, as the row asks, gives it back.
func TestPack_DeletingAgainMendsACrash(t *testing.T) {
	folder := t.TempDir()
	crash := errors.New("crash")
	var armed atomic.Bool
	b := open(t, folder, disk.Options{At: func(step string) error {
		if armed.Load() && step == disk.StepPackMarked {
			return crash
		}
		return nil
	}})
	content := bytes.Repeat([]byte("x"), 60<<10)
	if err := errors.Join(putBytes(t, b, 1, content), putBytes(t, b, 2, content)); err != nil {
		t.Fatal(err)
	}
	before := blocks(t, packOf(folder, "0"))
	armed.Store(true)
	if gone, err := b.Delete(t.Context(), []files.BlobID{blob(1)}); !errors.Is(err, crash) || len(gone) > 0 {
		t.Fatalf("gone %v, %v", gone, err)
	}
	armed.Store(false)
	if gone, err := b.Delete(t.Context(), []files.BlobID{blob(1)}); err != nil || len(gone) != 1 {
		t.Fatalf("gone %v, %v", gone, err)
	}
	if freed := before - blocks(t, packOf(folder, "0")); freed != 60<<10 {
		t.Errorf("%d bytes came back", freed)
	}
}

// What can't be deleted keeps none of its neighbours, in the pack or beside it.
func TestPack_DeletesTheOthersWhenOneFails(t *testing.T) {
	broken := errors.New("bad sector")
	var punches, syncs error
	b := open(t, t.TempDir(), disk.Options{Around: func(c disk.Call, do func() error) error {
		switch {
		case c.Kind == disk.CallPunch && punches != nil:
			err := punches
			punches = nil // the first only
			return err
		case c.Kind == disk.CallSync && c.File != nil && isPack(c.File) && syncs != nil:
			return syncs
		}
		return do()
	}})
	if err := errors.Join(put(t, b, 1), put(t, b, 2), put(t, b, 3), putBytes(t, b, 4, large)); err != nil {
		t.Fatal(err)
	}
	all := []files.BlobID{blob(1), blob(2), blob(3), blob(4)}
	punches = broken
	if gone, err := b.Delete(t.Context(), all); !errors.Is(err, broken) || !slices.Equal(gone, all[1:]) {
		t.Errorf("gone %v, %v; want all but the first", gone, err)
	}
	if err := putBytes(t, b, 5, large); err != nil {
		t.Fatal(err)
	}
	syncs = broken
	if gone, err := b.Delete(t.Context(), []files.BlobID{blob(1), blob(5)}); !errors.Is(err, broken) || !slices.Equal(gone, []files.BlobID{blob(5)}) {
		t.Errorf("gone %v, %v; want what is not in the pack", gone, err)
	}
	syncs = nil
	if gone, err := b.Delete(t.Context(), all); err != nil || !slices.Equal(gone, all) {
		t.Errorf("gone %v, %v; want all", gone, err)
	}
}

// Zeros are written ahead of contents, so that their syncs are short; they go when the writer does.
func TestPack_ZerosAheadGoWithTheWriter(t *testing.T) {
	folder := t.TempDir()
	b, err := disk.New(folder, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(put(t, b, 1), put(t, b, 2)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(packOf(folder, "0"))
	if err != nil || info.Size() <= 72<<10 || info.Size() > 2<<20 {
		t.Errorf("a pack of two small blobs: %d bytes, %v", info.Size(), err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err = os.Stat(packOf(folder, "0")); err != nil || info.Size() != 72<<10 {
		t.Errorf("after its writer: %d bytes, %v", info.Size(), err)
	}
	again := open(t, folder, disk.Options{})
	wantBytes(t, again, 1, []byte("content"))
	wantBytes(t, again, 2, []byte("content"))
}
