package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

func TestCommit_SyncsBytesAndNameBeforeItReturns(t *testing.T) {
	for says, it := range map[string]struct {
		content []byte
		file    string
	}{
		"large": {large, "unnamed file"}, "small": {[]byte("content"), "file"}, "empty": {nil, "file"},
	} {
		t.Run(says, func(t *testing.T) {
			folder := t.TempDir()
			var steps []string
			b := open(t, folder, disk.Options{
				NoPacks: true,
				At:      func(step string) error { steps = append(steps, step); return nil },
				Syncing: func(f *os.File) error {
					info, err := f.Stat()
					switch {
					case err != nil:
					case info.IsDir():
						steps = append(steps, "directory")
					case info.Size() != int64(len(it.content)):
						t.Errorf("synced with %d bytes", info.Size())
					case len(keys(t, folder)) == 0:
						steps = append(steps, "unnamed file")
					default:
						steps = append(steps, "file")
					}
					return errors.Join(err, f.Sync())
				},
			})
			if err := putBytes(t, b, 1, it.content); err != nil {
				t.Fatal(err)
			}
			// The epoch's and the bucket's names are durable before anything can be linked there.
			want := []string{"directory", "directory", it.file, disk.StepSynced, disk.StepLinked, "directory"}
			if !slices.Equal(steps, want) {
				t.Fatalf("got %v, want %v", steps, want)
			}
		})
	}
}

func TestCommit_ANameThatCouldNotBeSyncedIsSyncedByTheNext(t *testing.T) {
	for name, put := range map[string]func(b *disk.Blobs, n int64) error{
		"blob": func(b *disk.Blobs, n int64) error { return putBytes(t, b, n, large) },
		"upload": func(b *disk.Blobs, _ int64) error {
			sink, err := b.AppendPartial(t.Context(), files.Partial{ID: "ABC"})
			if err != nil {
				return err
			}
			defer func() { _ = sink.Close() }()
			_, err = sink.Sync(t.Context())
			return err
		},
	} {
		for failing := range 2 { // of the directories that are synced, one after the other
			folder, syncs := t.TempDir(), 0
			var lost string
			synced := map[string]bool{}
			b := open(t, folder, disk.Options{Syncing: func(f *os.File) error {
				info, err := f.Stat()
				if err != nil || !info.IsDir() {
					return err
				}
				if syncs++; syncs == failing+1 {
					lost = f.Name()
					return syscall.EIO
				}
				synced[f.Name()] = true
				return nil
			}})
			if err := put(b, 1); err == nil {
				t.Fatalf("%s: taken although %s could not be synced", name, lost)
			}
			if err := put(b, 2); err != nil || !synced[lost] {
				t.Errorf("%s: the next one is taken (%v), and the names in %s were never synced", name, err, lost)
			}
		}
	}
}

// Whoever finds the folder of uploads there can't tell whether its name is durable: the process that made it may have failed at that,
// or be about to.
func TestCommit_AnUploadWaitsForTheNameOfItsFolder(t *testing.T) {
	folder := t.TempDir()
	root, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	var failing, synced atomic.Bool
	failing.Store(true)
	under, goOn := make(chan struct{}, 1), make(chan struct{})
	opts := disk.Options{Syncing: func(f *os.File) error {
		info, err := f.Stat()
		switch {
		case err != nil || !os.SameFile(info, root):
			return err
		case failing.Swap(false):
			under <- struct{}{}
			<-goOn
			return syscall.EIO
		}
		synced.Store(true)
		return nil
	}}
	put := func(b *disk.Blobs, id files.UploadID) error {
		sink, err := b.AppendPartial(t.Context(), files.Partial{ID: id})
		if err != nil {
			return err
		}
		return sink.Close()
	}
	b := open(t, folder, opts)
	first := make(chan error, 1)
	go func() { first <- put(b, "A") }()
	<-under
	if err := put(b, "B"); err != nil || !synced.Load() {
		t.Errorf("beside a sync that is under way: taken (%v), and the name is not durable", err)
	}
	close(goOn)
	if err := <-first; err == nil {
		t.Error("taken although the name could not be synced")
	}
	if err := put(b, "C"); err != nil {
		t.Error(err)
	}
	synced.Store(false)
	if err := put(open(t, folder, opts), "D"); err != nil || !synced.Load() {
		t.Errorf("after a restart: taken (%v), and the name was never synced", err)
	}
}

func TestCommit_FailedFileSyncEndsTheBlob(t *testing.T) {
	folder := t.TempDir()
	var calls atomic.Int64
	b := open(t, folder, disk.Options{NoPacks: true, Syncing: func(f *os.File) error {
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return f.Sync()
		}
		calls.Add(1)
		return syscall.EIO
	}})
	if err := put(t, b, 1); !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("got %v, want Unavailable", err)
	}
	if got := keys(t, folder); len(got) > 0 || calls.Load() != 1 {
		t.Errorf("left %v after %d syncs", got, calls.Load())
	}
}

func TestCommit_FailedDirectorySyncEndsItsBlobsAndItsDescriptor(t *testing.T) {
	folder := t.TempDir()
	var bad atomic.Pointer[os.File]
	var fail atomic.Bool
	b := open(t, folder, disk.Options{NoPacks: true, Syncing: func(f *os.File) error {
		info, err := f.Stat()
		switch {
		case err != nil || !info.IsDir():
			return err
		case bad.Load() == f:
			t.Error("a descriptor was synced again after its failure")
		case fail.CompareAndSwap(true, false):
			bad.Store(f)
			return syscall.ENOSPC
		}
		return f.Sync()
	}})
	if err := put(t, b, 1); err != nil {
		t.Fatal(err)
	}
	fail.Store(true)
	if err := put(t, b, 2); !errors.Is(err, fault.Of(fault.StorageFull)) {
		t.Errorf("got %v, want StorageFull", err)
	}
	if err := put(t, b, 3); err != nil {
		t.Errorf("the next blob: %v", err)
	}
	if got := keys(t, folder); len(got) != 2 {
		t.Errorf("keys: %v", got)
	}
}

func TestCommit_FailedDirectorySyncEndsThoseWhoShareIt(t *testing.T) {
	var dirSyncs atomic.Int64
	var fail atomic.Bool
	b := open(t, t.TempDir(), disk.Options{NoPacks: true, Syncing: func(f *os.File) error {
		if info, err := f.Stat(); err == nil && info.IsDir() {
			dirSyncs.Add(1)
			if fail.CompareAndSwap(true, false) {
				return syscall.EIO
			}
		}
		return f.Sync()
	}})
	underWay, err := b.Create(t.Context(), files.NewBlobID(filestest.EpochA, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer underWay.Abort()
	fail.Store(true)
	if err := put(t, b, 2); err == nil {
		t.Fatal("the first upload was kept")
	}
	before := dirSyncs.Load()
	if err := underWay.Commit(t.Context()); err == nil || dirSyncs.Load() != before {
		t.Errorf("the second upload: %v, after %d more syncs", err, dirSyncs.Load()-before)
	}
}

func putAtOnce(t *testing.T, b *disk.Blobs, writers, each int) {
	t.Helper()
	var seq atomic.Int64
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				if err := put(t, b, seq.Add(1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

func TestCommit_SharesDirectorySyncs(t *testing.T) {
	const writers, rounds = 32, 8
	var dirs atomic.Int64
	b := open(t, t.TempDir(), disk.Options{NoPacks: true, Syncing: func(f *os.File) error {
		if info, err := f.Stat(); err == nil && info.IsDir() {
			dirs.Add(1)
		}
		return f.Sync()
	}})
	putAtOnce(t, b, writers, rounds)
	t.Logf("%d commits shared %d directory syncs", writers*rounds, dirs.Load())
	if dirs.Load() >= writers*rounds {
		t.Error("no sync was shared")
	}
}

func TestDelete_SyncsEachDirectoryOnce(t *testing.T) {
	var synced []string
	b := open(t, t.TempDir(), disk.Options{NoPacks: true, Syncing: func(f *os.File) error {
		synced = append(synced, filepath.Base(f.Name()))
		return f.Sync()
	}})
	for _, seq := range []int64{1, 2, 0x5001} {
		if err := put(t, b, seq); err != nil {
			t.Fatal(err)
		}
	}
	ids := []files.BlobID{
		files.NewBlobID(filestest.EpochA, 1), files.NewBlobID(filestest.EpochA, 2), files.NewBlobID(filestest.EpochA, 0x5001),
	}
	for range 2 {
		synced = nil
		if gone, err := b.Delete(t.Context(), ids); err != nil || len(gone) != len(ids) {
			t.Fatalf("gone %v, %v", gone, err)
		}
		slices.Sort(synced)
		if !slices.Equal(synced, []string{"0", "5"}) {
			t.Errorf("synced %v, want each bucket once", synced)
		}
	}
}

func TestCommit_FailedSyncOfOneInARoundIsItsOwn(t *testing.T) {
	const others = 20
	folder := t.TempDir()
	var inRound atomic.Int64
	first, gate := make(chan struct{}), make(chan struct{})
	b := open(t, folder, disk.Options{NoPacks: true, Syncing: func(f *os.File) error {
		switch info, err := f.Stat(); {
		case err != nil || info.IsDir():
			return errors.Join(err, f.Sync())
		case filepath.Base(f.Name()) == "1": // holds the first round until all others wait for the second
			close(first)
			<-gate
		case filepath.Base(f.Name()) == "2":
			inRound.Add(1)
			return syscall.EIO
		}
		return f.Sync()
	}})
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := put(t, b, 1); err != nil {
			t.Error(err)
		}
	})
	<-first
	for seq := int64(2); seq < 2+others; seq++ {
		wait.Go(func() {
			if err := put(t, b, seq); (err != nil) != (seq == 2) {
				t.Errorf("blob %d: %v", seq, err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(gate)
	wait.Wait()
	if got := keys(t, folder); len(got) != others || inRound.Load() != 1 {
		t.Errorf("%d keys, want %d; the failed file was synced %d times", len(got), others, inRound.Load())
	}
}
