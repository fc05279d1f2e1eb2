package filestest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// RunBlobs holds a store of bytes to its port. open makes an empty one.
func RunBlobs(t *testing.T, open func(t *testing.T) files.Blobs) {
	for name, check := range map[string]func(*testing.T, blobsTest){
		"bytes round-trip":                       checkBytes,
		"writes of any length":                   checkWrites,
		"nothing shows before commit":            checkInvisible,
		"an aborted blob never was":              checkAbort,
		"an id is used once":                     checkOnce,
		"a reader reads anywhere":                checkReaderAt,
		"a reader outlives its blob":             checkReaderOutlives,
		"a wrong size is an error":               checkWrongSize,
		"delete is final and can be repeated":    checkDelete,
		"a walk sees each key of its epoch once": checkWalk,
		"forget keeps what is there":             checkForget,
		"many commit at once":                    checkManyCommits,
		"ids that are none":                      checkBadIDs,
		"uploads grow from where they stand":     checkPartials,
		"an upload becomes a blob":               checkPromote,
	} {
		t.Run(name, func(t *testing.T) { check(t, blobsTest{open(t), map[files.UploadID]map[int64][]byte{}}) })
	}
}

type blobsTest struct {
	files.Blobs
	parts map[files.UploadID]map[int64][]byte // what each sync of an upload's bytes returned, by the size it covered
}

// at is what a row would know of an upload that stands at size.
func (b blobsTest) at(id files.UploadID, size int64) files.Partial {
	return files.Partial{ID: id, Size: size, Parts: b.parts[id][size]}
}

// put stores content in pieces of several sizes.
func (b blobsTest) put(t *testing.T, id files.BlobID, content []byte) {
	t.Helper()
	sink, err := b.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Abort()
	for size := 1; len(content) > 0; size *= 3 {
		n, err := sink.Write(content[:min(size, len(content))])
		if err != nil {
			t.Fatal(err)
		}
		content = content[n:]
	}
	if err := sink.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (b blobsTest) open(t *testing.T, id files.BlobID, size int) files.BlobSource {
	t.Helper()
	src, err := b.Open(t.Context(), id, int64(size))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func (b blobsTest) gone(t *testing.T, id files.BlobID) {
	t.Helper()
	src, err := b.Open(t.Context(), id, 0)
	if err == nil {
		_ = src.Close()
	}
	if !errors.Is(err, fault.Of(fault.NotFound)) {
		t.Errorf("blob %s: got %v, want NotFound", id, err)
	}
}

// noise is content that no other place of a test has.
func noise(size int, seed uint64) []byte {
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	content := make([]byte, size)
	_, _ = random.Read(content) // never fails
	return content
}

func checkBytes(t *testing.T, b blobsTest) {
	for i, size := range []int{0, 1, 4096, 300_000, 9 << 20} {
		id, content := files.NewBlobID(EpochA, int64(i)+1), noise(size, uint64(i))
		b.put(t, id, content)
		got, err := io.ReadAll(b.open(t, id, size))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: read back %d, %v", size, len(got), err)
		}
	}
}

// checkWrites: a store may hold small contents in this way or that, and changes it while they come.
func checkWrites(t *testing.T, b blobsTest) {
	for i, lengths := range [][]int{{5000, 100}, {0, 5000, 0, 4096}, {4096, 1, 5000}, {100, 70_000, 100}, {60_000, 5000, 4096}} {
		var want []byte
		id := files.NewBlobID(EpochA, int64(i)+1)
		sink, err := b.Create(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for j, length := range lengths {
			piece := noise(length, uint64(10*i+j))
			want = append(want, piece...)
			if n, err := sink.Write(piece); n != length || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := sink.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		src, err := b.Open(t.Context(), id, int64(len(want)))
		if err != nil {
			t.Errorf("writes of %v bytes: %v", lengths, err)
			continue
		}
		if got, err := io.ReadAll(src); err != nil || !bytes.Equal(got, want) {
			t.Errorf("writes of %v bytes: read back %d, %v", lengths, len(got), err)
		}
		_ = src.Close()
	}
}

func checkInvisible(t *testing.T, b blobsTest) {
	id := files.NewBlobID(EpochA, 1)
	sink, err := b.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Abort()
	if _, err := sink.Write([]byte("not yet")); err != nil {
		t.Fatal(err)
	}
	if src, err := b.Open(t.Context(), id, int64(len("not yet"))); err == nil {
		// A store without unnamed files may show the key; then only the rows hide it.
		_ = src.Close()
		t.Log("this store shows keys before their commit")
	}
}

func checkAbort(t *testing.T, b blobsTest) {
	id := files.NewBlobID(EpochA, 1)
	sink, err := b.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write([]byte("never")); err != nil {
		t.Fatal(err)
	}
	sink.Abort()
	sink.Abort()
	if sink.Commit(t.Context()) == nil {
		t.Error("an aborted blob was committed")
	}
	b.gone(t, id)
	if keys := b.walk(t, 0); len(keys) != 0 {
		t.Errorf("an aborted blob left %v", keys)
	}
}

func checkOnce(t *testing.T, b blobsTest) {
	id := files.NewBlobID(EpochA, 1)
	b.put(t, id, []byte("first"))
	sink, err := b.Create(t.Context(), id)
	if err == nil {
		_, _ = sink.Write([]byte("other"))
		err = sink.Commit(t.Context())
	}
	if err == nil {
		t.Error("an id was used twice")
	}
	got, err := io.ReadAll(b.open(t, id, len("first")))
	if string(got) != "first" {
		t.Errorf("the first blob reads %q, %v", got, err)
	}
}

func checkReaderAt(t *testing.T, b blobsTest) {
	id, content := files.NewBlobID(EpochA, 1), noise(10_000, 1)
	b.put(t, id, content)
	src := b.open(t, id, len(content))
	part := make([]byte, 100)
	if _, err := src.ReadAt(part, 5000); err != nil || !bytes.Equal(part, content[5000:5100]) {
		t.Errorf("ReadAt: wrong bytes, %v", err)
	}
	if _, err := src.Seek(-10, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(src); err != nil || !bytes.Equal(rest, content[9990:]) {
		t.Errorf("after Seek: %d bytes, %v", len(rest), err)
	}
}

func checkReaderOutlives(t *testing.T, b blobsTest) {
	id, content := files.NewBlobID(EpochA, 1), noise(1<<20, 1)
	b.put(t, id, content)
	src := b.open(t, id, len(content))
	if _, err := b.Delete(t.Context(), []files.BlobID{id}); err != nil {
		t.Fatal(err)
	}
	b.gone(t, id)
	if got, err := io.ReadAll(src); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the reader got %d bytes, %v", len(got), err)
	}
}

func checkWrongSize(t *testing.T, b blobsTest) {
	id := files.NewBlobID(EpochA, 1)
	b.put(t, id, []byte("four"))
	for _, size := range []int64{0, 3, 5} {
		src, err := b.Open(t.Context(), id, size)
		if err == nil {
			_ = src.Close()
		}
		if err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("size %d: got %v, want an internal error", size, err)
		}
	}
}

func checkDelete(t *testing.T, b blobsTest) {
	one, two, never := files.NewBlobID(EpochA, 1), files.NewBlobID(EpochA, 5000), files.NewBlobID(EpochB, 1)
	b.put(t, one, []byte("1"))
	b.put(t, two, []byte("2"))
	for range 2 {
		gone, err := b.Delete(t.Context(), []files.BlobID{one, never})
		if err != nil || len(gone) != 2 {
			t.Errorf("delete: %v, %v", gone, err)
		}
	}
	b.gone(t, one)
	_ = b.open(t, two, 1)
}

// walk lists the keys of EpochA.
func (b blobsTest) walk(t *testing.T, from int64) []files.BlobID {
	t.Helper()
	var keys []files.BlobID
	err := b.Walk(t.Context(), EpochA, from, func(id files.BlobID) error {
		keys = append(keys, id)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func checkWalk(t *testing.T, b blobsTest) {
	if keys := b.walk(t, 0); len(keys) != 0 {
		t.Errorf("an unknown epoch has %v", keys)
	}
	want := map[files.BlobID]bool{}
	for _, seq := range []int64{1, 2, 17, 4095, 4096, 4097, 20_000} {
		id := files.NewBlobID(EpochA, seq)
		b.put(t, id, nil)
		want[id] = true
	}
	b.put(t, files.NewBlobID(EpochB, 3), nil)
	keys := b.walk(t, 0)
	for _, id := range keys {
		if !want[id] {
			t.Errorf("unexpected or repeated key %s", id)
		}
		delete(want, id)
	}
	if len(want) > 0 {
		t.Errorf("the walk missed %v", want)
	}
	if keys := b.walk(t, 4096); len(keys) != 3 {
		t.Errorf("from 4096: %v", keys)
	}
	stop := errors.New("stop")
	if err := b.Walk(t.Context(), EpochA, 0, func(files.BlobID) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a walk that was stopped returned %v", err)
	}
	epochs, err := b.Epochs(t.Context())
	if err != nil || fmt.Sprint(epochs) != fmt.Sprint([]files.EpochID{EpochA, EpochB}) {
		t.Errorf("epochs: %v, %v", epochs, err)
	}
}

func checkForget(t *testing.T, b blobsTest) {
	kept, dropped := files.NewBlobID(EpochA, 9000), files.NewBlobID(EpochA, 1)
	b.put(t, kept, []byte("kept"))
	b.put(t, dropped, nil)
	if _, err := b.Delete(t.Context(), []files.BlobID{dropped}); err != nil {
		t.Fatal(err)
	}
	if err := b.Forget(t.Context(), EpochA); err != nil {
		t.Fatal(err)
	}
	_ = b.open(t, kept, 4)
	if _, err := b.Delete(t.Context(), []files.BlobID{kept}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Forget(t.Context(), EpochA); err != nil {
			t.Fatal(err)
		}
	}
	if epochs, err := b.Epochs(t.Context()); err != nil || len(epochs) != 0 {
		t.Errorf("epochs after forgetting: %v, %v", epochs, err)
	}
}

func checkManyCommits(t *testing.T, b blobsTest) {
	const blobs = 64
	var wait sync.WaitGroup
	for n := range blobs {
		wait.Go(func() {
			sink, err := b.Create(t.Context(), files.NewBlobID(EpochA, int64(n)+4064))
			if err == nil {
				_, err = sink.Write(noise(1000, uint64(n)))
				err = errors.Join(err, sink.Commit(t.Context()))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for n := range blobs {
		got, err := io.ReadAll(b.open(t, files.NewBlobID(EpochA, int64(n)+4064), 1000))
		if err != nil || !bytes.Equal(got, noise(1000, uint64(n))) {
			t.Errorf("blob %d: wrong bytes, %v", n, err)
		}
	}
}

func checkBadIDs(t *testing.T, b blobsTest) {
	for _, id := range []files.BlobID{"", "x", "../../etc/passwd", EpochIDAlone, files.BlobID(EpochA) + "./", files.BlobID(EpochA) + ".1"} {
		if sink, err := b.Create(t.Context(), id); err == nil {
			sink.Abort()
			t.Errorf("%q was taken for an id", id)
		}
	}
}

// EpochIDAlone is an id without a number.
const EpochIDAlone = files.BlobID(EpochA)
