package disk_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

func blob(seq int64) files.BlobID { return files.NewBlobID(filestest.EpochA, seq) }

func packOf(folder string, bucket string) string {
	return filepath.Join(folder, string(filestest.EpochA), bucket, "pack")
}

// read returns a blob's bytes, or why there are none.
func read(b *disk.Blobs, seq int64, size int) ([]byte, error) {
	src, err := b.Open(context.Background(), blob(seq), int64(size))
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return io.ReadAll(src)
}

func wantBytes(t *testing.T, b *disk.Blobs, seq int64, want []byte) {
	t.Helper()
	if got, err := read(b, seq, len(want)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("blob %d reads %d bytes, %v", seq, len(got), err)
	}
}

// walked are the numbers of the keys in the store.
func walked(t *testing.T, b *disk.Blobs) (seqs []int64) {
	t.Helper()
	err := b.Walk(t.Context(), filestest.EpochA, 0, func(id files.BlobID) error {
		_, seq, _ := id.Split()
		seqs = append(seqs, seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

// isPack reports whether a descriptor is of a pack.
func isPack(f *os.File) bool { return filepath.Base(f.Name()) == "pack" }

func TestPack_HoldsTheSmallOnes(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder, disk.Options{})
	sizes := []int{0, 1, 4095, 4096, 4097, 64 << 10}
	for i, size := range sizes {
		if err := putBytes(t, b, int64(i), bytes.Repeat([]byte{byte(i + 1)}, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := putBytes(t, b, 100, large); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, folder); len(got) != 2 {
		t.Errorf("the folder has %v, want one pack and one file", got)
	}
	again := open(t, folder, disk.Options{}) // nothing is kept in memory
	for i, size := range sizes {
		wantBytes(t, again, int64(i), bytes.Repeat([]byte{byte(i + 1)}, size))
	}
	wantBytes(t, again, 100, large)
}

// A folder of an older version, or one whose pack failed: files of their own are read, walked and deleted beside those in packs.
func TestPack_LivesBesideFiles(t *testing.T) {
	folder := t.TempDir()
	older, newer := open(t, folder, disk.Options{NoPacks: true}), open(t, folder, disk.Options{})
	if err := errors.Join(put(t, older, 1), put(t, newer, 2)); err != nil {
		t.Fatal(err)
	}
	for seq := range int64(2) {
		wantBytes(t, newer, seq+1, []byte("content"))
	}
	if got := walked(t, newer); len(got) != 2 {
		t.Errorf("walk saw %v", got)
	}
	if gone, err := newer.Delete(t.Context(), []files.BlobID{blob(1), blob(2)}); err != nil || len(gone) != 2 {
		t.Errorf("gone %v, %v", gone, err)
	}
	if got := walked(t, newer); len(got) != 0 {
		t.Errorf("after deleting, walk saw %v", got)
	}
}

// Only who has made a pack writes to it: what another life left at its end is nobody's business.
func TestPack_OfAnotherLifeIsNotWrittenTo(t *testing.T) {
	folder := t.TempDir()
	first, second := open(t, folder, disk.Options{}), open(t, folder, disk.Options{})
	if err := put(t, first, 1); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(packOf(folder, "0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := put(t, second, 2); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(packOf(folder, "0"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the pack was changed (%v)", err)
	}
	wantBytes(t, first, 2, []byte("content"))
}

// Whoever can write to the folder can put a link where the next pack will be: it is not written through.
func TestPack_NeverWritesThroughALink(t *testing.T) {
	folder, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	b := open(t, folder, disk.Options{})
	bucket := filepath.Dir(packOf(folder, "0"))
	if err := errors.Join(os.MkdirAll(bucket, 0o700), os.Symlink(outside, filepath.Join(bucket, "pack"))); err != nil {
		t.Fatal(err)
	}
	if err := put(t, b, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a link was followed: %v", err)
	}
}

// Whatever is stored and deleted in whatever order, the store holds what is left, and a second look says the same.
func TestPack_IsAMap(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		folder := t.TempDir()
		b, err := disk.New(folder, disk.Options{})
		if err != nil {
			r.Fatal(err)
		}
		defer b.Close()
		want := map[int64][]byte{}
		for seq := range int64(rapid.IntRange(1, 12).Draw(r, "blobs")) {
			seq += 4090 // over the edge of a bucket
			content := bytes.Repeat([]byte{byte(seq)}, rapid.IntRange(0, 10_000).Draw(r, "size"))
			if err := putBytes(t, b, seq, content); err != nil {
				r.Fatal(err)
			}
			want[seq] = content
			if victim := rapid.Int64Range(4090, 4102).Draw(r, "victim"); rapid.Bool().Draw(r, "delete") {
				delete(want, victim)
				if gone, err := b.Delete(t.Context(), []files.BlobID{blob(victim)}); len(gone) != 1 || err != nil {
					r.Fatal(gone, err)
				}
			}
		}
		for range 2 {
			if got := walked(t, b); len(got) != len(want) {
				r.Fatalf("walk saw %v, want %d", got, len(want))
			}
			for seq, content := range want {
				if got, err := read(b, seq, len(content)); err != nil || !bytes.Equal(got, content) {
					r.Fatalf("blob %d reads %d bytes, %v", seq, len(got), err)
				}
			}
			other, err := disk.New(folder, disk.Options{})
			if err != nil {
				r.Fatal(err)
			}
			defer other.Close()
			b = other
		}
	})
}

// A blob that was damaged in its pack is repaired with a file of its own, which deleting takes away as well.
func TestPack_AFileComesFirst(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder, disk.Options{})
	if err := put(t, b, 1); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(packOf(folder, "0"))
	if err != nil {
		t.Fatal(err)
	}
	raw[64<<10] ^= 1
	repaired := filepath.Join(filepath.Dir(packOf(folder, "0")), "1")
	if err := os.WriteFile(packOf(folder, "0"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := read(b, 1, len("content")); err != nil || string(got) == "content" {
		t.Fatalf("the bytes were to be damaged: %q, %v", got, err)
	}
	if err := os.WriteFile(repaired, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, b, 1, []byte("content"))
	if gone, err := b.Delete(t.Context(), []files.BlobID{blob(1)}); err != nil || len(gone) != 1 || len(walked(t, b)) != 0 {
		t.Errorf("gone %v, %v; left %v", gone, err, walked(t, b))
	}
}
