package bucket_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/s3"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/s3test"
)

// Uploads that stand still keep nobody else out: there are two part buffers here, and each of two uploads has one.

// patient makes who waits for a buffer wait 16 s: a holder counts as slow after 4, and 12 are left for what is done then, on a
// machine however busy. The store is tried before, so that only buffers are waited for.
func patient(t *testing.T, bucket s3test.Bucket) *lied {
	t.Helper()
	t.Parallel()
	l := overLiar(t, bucket, func(o *s3.Options) { o.CallTimeout, o.IdleTimeout = 16*time.Second, 16*time.Second })
	l.mustCreate(t, []byte("first"))
	return l
}

const parkedBytes = 100_000 // more than needs no buffer

func TestParked_ResumableUploadsAreSavedAndGoOn(t *testing.T) {
	s3test.Each(t, func(t *testing.T, bucket func(testing.TB) s3test.Bucket) {
		l := patient(t, bucket(t))
		content := noise(6 << 20)
		var sinks []files.PartialSink
		for _, id := range []files.UploadID{"one", "two"} {
			sink, err := l.stores.Blobs.AppendPartial(t.Context(), files.Partial{ID: id})
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, sink, content[:parkedBytes])
			sinks = append(sinks, sink)
		}
		other := noise(200_000)
		l.mustRead(t, l.mustCreate(t, other), other)
		for i, sink := range sinks {
			mustWrite(t, sink, content[parkedBytes:])
			parts, err := sink.Sync(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			of := files.Partial{ID: []files.UploadID{"one", "two"}[i], Size: int64(len(content)), Parts: parts}
			src, err := l.stores.Blobs.OpenPartial(t.Context(), of)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(src); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d of %d bytes are there: %v", len(got), len(content), err)
			}
			if err := errors.Join(src.Close(), sink.Close()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestParked_PlainUploadsAreRefusedAndLeaveNothing(t *testing.T) {
	l := patient(t, s3test.InProcess(t))
	content := noise(6 << 20)
	var sinks []files.BlobSink
	for n := range int64(2) {
		sink, err := l.stores.Blobs.Create(t.Context(), files.NewBlobID(filestest.EpochA, 100+n))
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, sink, content[:parkedBytes])
		sinks = append(sinks, sink)
	}
	other := noise(200_000)
	l.mustRead(t, l.mustCreate(t, other), other)
	refused := 0
	for _, sink := range sinks {
		_, err := sink.Write(content[parkedBytes:])
		if err == nil {
			sink.Abort()
			continue
		}
		refused++
		l.wantAway(t, err)
		if err := sink.Commit(t.Context()); !errors.Is(err, fault.Of(fault.Unavailable)) {
			t.Errorf("half an upload can be committed: %v", err)
		}
		sink.Abort()
	}
	if refused != 1 {
		t.Errorf("%d uploads had to make room for one", refused)
	}
	if keys := filestest.Keys(t, l.stores.Blobs); len(keys) != 2 {
		t.Errorf("the store has %v", keys)
	}
}

// Who keeps sending is not the one to make room, however many wait.
func TestParked_WhoIsQuickKeepsItsBuffer(t *testing.T) {
	l := patient(t, s3test.InProcess(t))
	slow, err := l.stores.Blobs.Create(t.Context(), files.NewBlobID(filestest.EpochA, 101))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Abort()
	mustWrite(t, slow, noise(parkedBytes))
	quick, err := l.stores.Blobs.Create(t.Context(), files.NewBlobID(filestest.EpochA, 102))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, quick, noise(4<<20)) // all but a part, at once
	l.mustCreate(t, noise(200_000))
	mustWrite(t, quick, noise(100))
	if err := quick.Commit(t.Context()); err != nil {
		t.Errorf("the quick one was refused: %v", err)
	}
	if _, err := slow.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "slow") {
		t.Errorf("the slow one goes on: %v", err)
	}
}

func mustWrite(t *testing.T, w io.Writer, p []byte) {
	t.Helper()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
}
