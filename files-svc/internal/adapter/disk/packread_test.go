package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

// Bits that flip in an entry hide one blob, as damaged and never as another's bytes; it can still be walked to and deleted.
func TestPack_DamagedEntryIsOneBlobsLoss(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder, disk.Options{})
	for seq := range int64(3) {
		if err := putBytes(t, b, seq, []byte{byte(seq), 'x'}); err != nil {
			t.Fatal(err)
		}
	}
	for bit := range 16 * 8 {
		raw, err := os.ReadFile(packOf(folder, "0"))
		if err != nil {
			t.Fatal(err)
		}
		flip := func() {
			raw[16+bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(packOf(folder, "0"), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		flip()
		if got, err := read(b, 1, 2); err == nil || fault.KindOf(err) != fault.Internal {
			t.Fatalf("bit %d: read %q, %v", bit, got, err)
		}
		wantBytes(t, b, 2, []byte{2, 'x'})
		if got := walked(t, b); len(got) != 3 {
			t.Fatalf("bit %d: walk saw %v", bit, got)
		}
		flip()
	}
	raw, err := os.ReadFile(packOf(folder, "0"))
	if err != nil {
		t.Fatal(err)
	}
	raw[20] ^= 1
	if err := os.WriteFile(packOf(folder, "0"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if gone, err := b.Delete(t.Context(), []files.BlobID{blob(1)}); err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	if got := walked(t, b); fmt.Sprint(got) != "[0 2]" {
		t.Errorf("walk saw %v", got)
	}
}

// A pack that is put into another epoch's folder, or cut short, brings nobody another's bytes.
func TestPack_OutOfPlaceOrShort(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder, disk.Options{})
	if err := errors.Join(put(t, b, 1), put(t, b, 2)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(packOf(folder, "0"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(folder, string(filestest.EpochB), "0")
	if err := errors.Join(os.MkdirAll(theirs, 0o700), os.WriteFile(filepath.Join(theirs, "pack"), raw, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context(), files.NewBlobID(filestest.EpochB, 1), 7); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("another epoch's entry: %v", err)
	}
	for _, size := range []int64{0, 20, 40, 64 << 10, 68<<10 + int64(len("content")) - 1} {
		if err := os.Truncate(packOf(folder, "0"), size); err != nil {
			t.Fatal(err)
		}
		if got, err := read(b, 2, len("content")); err == nil {
			t.Errorf("of a pack cut to %d bytes came %q", size, got)
		}
	}
}

// Readers keep their bytes when there are too many of them to hold, and are never given a hole.
func TestPack_ManyReadersAreBoundedAndNeverGetAHole(t *testing.T) {
	b := open(t, t.TempDir(), disk.Options{})
	content := bytes.Repeat([]byte("x"), 64<<10)
	if err := putBytes(t, b, 1, content); err != nil {
		t.Fatal(err)
	}
	var readers []files.BlobSource
	for range 300 { // 18 MiB, of which 16 are held
		src, err := b.Open(t.Context(), blob(1), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, src)
	}
	last := readers[len(readers)-1]
	half := make([]byte, 32<<10)
	if _, err := io.ReadFull(last, half); err != nil || !bytes.Equal(half, content[:len(half)]) {
		t.Errorf("a reader without room: %v", err)
	}
	if _, err := b.Delete(t.Context(), []files.BlobID{blob(1)}); err != nil {
		t.Fatal(err)
	}
	whole, cut := 0, 0
	for _, src := range readers {
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		switch got, err := io.ReadAll(src); {
		case err == nil && bytes.Equal(got, content):
			whole++
		case err != nil && len(got) == 0:
			cut++
		default:
			t.Errorf("a reader got %d bytes, %v", len(got), err)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
	if whole != 256 || cut != 44 {
		t.Errorf("%d readers got everything, %d were cut", whole, cut)
	}
	if err := putBytes(t, b, 2, content); err != nil {
		t.Fatal(err)
	}
	src, err := b.Open(t.Context(), blob(2), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := b.Delete(t.Context(), []files.BlobID{blob(2)}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(src); err != nil || !bytes.Equal(got, content) {
		t.Errorf("room was not given back: %d bytes, %v", len(got), err)
	}
}

// Between two buckets, and with writers that come and go, directories and packs are closed again.
func TestPack_DescriptorsAreBounded(t *testing.T) {
	b := open(t, t.TempDir(), disk.Options{})
	for bucket := range int64(40) {
		if err := put(t, b, bucket<<12); err != nil {
			t.Fatal(err)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Log("no /proc to look at")
		return
	}
	packs := 0
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && strings.HasSuffix(to, "/pack") {
			packs++
		}
	}
	if packs > 8 {
		t.Errorf("%d packs are open", packs)
	}
}
