package disk_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
)

func open(t *testing.T, folder string, opts disk.Options) *disk.Blobs {
	t.Helper()
	b, err := disk.New(folder, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestBlobs(t *testing.T) {
	filestest.RunBlobs(t, func(t *testing.T) files.Blobs { return open(t, t.TempDir(), disk.Options{}) })
}

func TestBlobs_WithoutUnnamedFiles(t *testing.T) {
	filestest.RunBlobs(t, func(t *testing.T) files.Blobs { return open(t, t.TempDir(), disk.Options{NoTemp: true}) })
}

func TestBlobs_EachAFile(t *testing.T) {
	filestest.RunBlobs(t, func(t *testing.T) files.Blobs { return open(t, t.TempDir(), disk.Options{NoPacks: true}) })
}

// put stores one small blob and returns what Commit said.
func put(t *testing.T, b *disk.Blobs, seq int64) error {
	t.Helper()
	return putBytes(t, b, seq, []byte("content"))
}

// large is more than is held before there is a file.
var large = make([]byte, 100<<10)

func putBytes(t *testing.T, b *disk.Blobs, seq int64, content []byte) error {
	t.Helper()
	sink, err := b.Create(t.Context(), files.NewBlobID(filestest.EpochA, seq))
	if err != nil {
		return err
	}
	defer sink.Abort()
	if _, err := sink.Write(content); err != nil {
		return err
	}
	return sink.Commit(t.Context())
}

// keys lists the names of all regular files under folder.
func keys(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A folder whose name could not be synced is there for the next upload, which must not rely on it.
// A small blob touches the disk when it is whole: what is given up before leaves nothing to clean up.
func TestAbort_ASmallBlobWasNeverThere(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder, disk.Options{NoTemp: true})
	sink, err := b.Create(t.Context(), files.NewBlobID(filestest.EpochA, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, folder); len(got) > 0 {
		t.Errorf("before its commit there is %v", got)
	}
	sink.Abort()
	if err := sink.Commit(t.Context()); err == nil || len(keys(t, folder)) > 0 {
		t.Errorf("committed after its end: %v", err)
	}
}

// An upload that was under way when its directory's sync failed has the same descriptor: it fails too.
// putAtOnce has writers put so many blobs each.
// A crash after the link leaves a key that Walk finds; one before it leaves nothing.
func TestCommit_Crash(t *testing.T) {
	for step, want := range map[string]int{disk.StepSynced: 0, disk.StepLinked: 1} {
		t.Run(step, func(t *testing.T) {
			folder := t.TempDir()
			crash := errors.New("crash")
			b := open(t, folder, disk.Options{NoPacks: true, At: func(at string) error {
				if at == step {
					return crash
				}
				return nil
			}})
			if err := put(t, b, 1); !errors.Is(err, crash) {
				t.Fatal(err)
			}
			if got := keys(t, folder); len(got) != want {
				t.Errorf("left %v, want %d keys", got, want)
			}
		})
	}
}

// A name that is gone may be a crash's: only the sync makes its absence last.
func TestOpen_IsAFileTheKernelCanSend(t *testing.T) {
	b := open(t, t.TempDir(), disk.Options{NoPacks: true})
	if err := put(t, b, 1); err != nil {
		t.Fatal(err)
	}
	src, err := b.Open(t.Context(), files.NewBlobID(filestest.EpochA, 1), int64(len("content")))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, ok := src.(syscall.Conn); !ok {
		t.Error("the source hides its descriptor")
	}
}

func TestWalk_IgnoresWhatIsNotOurs(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder, disk.Options{})
	if err := put(t, b, 1); err != nil {
		t.Fatal(err)
	}
	bucket := filepath.Join(folder, string(filestest.EpochA), "0")
	for _, name := range []string{"lost+found", "backup/0/1", string(filestest.EpochA) + "/0/01", string(filestest.EpochA) + "/0/1001", string(filestest.EpochA) + "/x"} {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(bucket, "2")); err != nil {
		t.Fatal(err)
	}
	epochs, err := b.Epochs(t.Context())
	if err != nil || len(epochs) != 1 {
		t.Errorf("epochs: %v, %v", epochs, err)
	}
	n := 0
	if err := b.Walk(t.Context(), filestest.EpochA, 0, func(files.BlobID) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("walk saw %d keys, %v", n, err)
	}
	src, err := b.Open(t.Context(), files.NewBlobID(filestest.EpochA, 2), 0)
	if err == nil {
		content, _ := io.ReadAll(src)
		t.Errorf("a link out of the folder was followed: %d bytes", len(content))
	}
}

func TestCreate_LeavesRoomForOthers(t *testing.T) {
	folder := t.TempDir()
	roomy, err := disk.New(folder, disk.Options{KeepFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer roomy.Close()
	full, err := disk.New(folder, disk.Options{KeepFree: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if free, err := full.Free(); err != nil || free < 1 || free >= 1<<62 {
		t.Errorf("%d bytes are free by what the floors are held against, %v", free, err)
	}
	id := files.NewBlobID("0199d3f0-7a51-7c3e-9b1c-6f2a5d0e4b7a", 1)
	if _, err := full.Create(t.Context(), id); fault.KindOf(err) != fault.StorageFull {
		t.Errorf("a write below the floor returned %v", err)
	}
	sink, err := roomy.Create(t.Context(), id)
	if err != nil {
		t.Fatalf("a write above the floor returned %v", err)
	}
	sink.Abort()
}

// A file whose sync fails is alone with it, however many are synced in the same round.
// Whoever can write to the folder can put a link where the next blob will be: it is not written through.
func TestCommit_NeverWritesThroughWhatIsThere(t *testing.T) {
	folder, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	b := open(t, folder, disk.Options{NoPacks: true})
	if err := errors.Join(put(t, b, 1), os.WriteFile(outside, []byte("theirs"), 0o600)); err != nil {
		t.Fatal(err)
	}
	bucket := filepath.Join(folder, string(filestest.EpochA), "0")
	if err := errors.Join(os.Symlink(outside, filepath.Join(bucket, "2")), os.Symlink(outside+"-new", filepath.Join(bucket, "3"))); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []int64{1, 2, 3} {
		if err := put(t, b, seq); !errors.Is(err, os.ErrExist) {
			t.Errorf("blob %d was created over what was there: %v", seq, err)
		}
	}
	if raw, err := os.ReadFile(outside); string(raw) != "theirs" {
		t.Errorf("what the link named is now %q, %v", raw, err)
	}
	if _, err := os.Lstat(outside + "-new"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made outside of the folder")
	}
}
