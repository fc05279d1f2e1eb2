package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
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

// A round shares one sync of the pack; the directory is synced for the pack's name, once.
func TestPack_SyncsARoundOnce(t *testing.T) {
	const writers, rounds = 32, 8
	var packs, names atomic.Int64
	b := open(t, t.TempDir(), disk.Options{Syncing: func(f *os.File) error {
		if isPack(f) {
			packs.Add(1)
		} else {
			names.Add(1)
		}
		return f.Sync()
	}})
	var seq atomic.Int64
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range rounds {
				if err := put(t, b, seq.Add(1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	t.Logf("%d commits shared %d syncs of the pack", writers*rounds, packs.Load())
	if packs.Load() >= writers*rounds || names.Load() != 3 { // of the root, the epoch and the bucket
		t.Errorf("%d syncs of the pack and %d of directories", packs.Load(), names.Load())
	}
}

// After a failed write or sync nobody knows what a pack holds: the round is refused, and nothing is ever added. The next blobs are
// files.
func TestPack_TakesNothingAfterAFailure(t *testing.T) {
	for says, fails := range map[string]func(disk.Call) bool{
		"sync":  func(c disk.Call) bool { return c.Kind == disk.CallSync && isPack(c.File) },
		"write": func(c disk.Call) bool { return c.Kind == disk.CallPatch },
		"made":  func(c disk.Call) bool { return c.Kind == disk.CallCreate },
	} {
		t.Run(says, func(t *testing.T) {
			folder := t.TempDir()
			var broken, touched atomic.Bool
			b := open(t, folder, disk.Options{Around: func(c disk.Call, do func() error) error {
				if fails(c) && broken.Load() {
					broken.Store(false)
					touched.Store(true)
					return syscall.EIO
				}
				if touched.Load() && (c.Kind == disk.CallPatch || c.Kind == disk.CallSync && isPack(c.File)) {
					t.Errorf("%s of a pack after its failure", c.Kind)
				}
				return do()
			}})
			if says != "made" {
				if err := put(t, b, 1); err != nil {
					t.Fatal(err)
				}
			}
			broken.Store(true)
			if err := put(t, b, 2); !errors.Is(err, fault.Of(fault.Unavailable)) {
				t.Errorf("got %v, want Unavailable", err)
			}
			if err := put(t, b, 3); err != nil {
				t.Errorf("the next blob: %v", err)
			}
			wantBytes(t, b, 3, []byte("content"))
			if says != "made" {
				wantBytes(t, b, 1, []byte("content"))
			}
		})
	}
}

// The name of a new pack is durable before anything in it is answered.
func TestPack_NameThatIsNotDurableIsNotAnswered(t *testing.T) {
	var fail atomic.Bool
	b := open(t, t.TempDir(), disk.Options{
		At: func(step string) error {
			fail.Store(fail.Load() || step == disk.StepPackMade)
			return nil
		},
		Syncing: func(f *os.File) error {
			if !isPack(f) && fail.Load() {
				return syscall.EIO
			}
			return f.Sync()
		},
	})
	if err := put(t, b, 1); !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("got %v, want Unavailable", err)
	}
}

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
	if freed := before - blocks(t, packOf(folder, "0")); freed != 9*60<<10 {
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
