package filestest

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

// lateBlobs is a store that takes its time: a commit fails, and its bytes come all the same when the upload has long ended.
type lateBlobs struct {
	files.Blobs
	late *[]files.BlobSink
}

type lateSink struct {
	files.BlobSink
	late *[]files.BlobSink
}

func (b lateBlobs) Create(ctx context.Context, id files.BlobID) (files.BlobSink, error) {
	sink, err := b.Blobs.Create(ctx, id)
	return lateSink{sink, b.late}, err
}

func (s lateSink) Commit(context.Context) error {
	*s.late = append(*s.late, s.BlobSink)
	return fault.New(fault.Unavailable, "no answer")
}

func (lateSink) Abort() {}

// checkLateBytes: what comes into the store after its upload has failed, and after the reaper has passed, is found too.
func checkLateBytes(t *testing.T, b *bench) {
	var late []files.BlobSink
	s := b.process(t, Stores{Catalog: b.stores.Catalog, Blobs: lateBlobs{b.stores.Blobs, &late}}, nil)
	pass := func() {
		t.Helper()
		if err := s.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int64{3, 2 << 20} {
		_, err := s.Create(As(t.Context(), ann), ann, files.NewFile{Name: "f", Size: size}, strings.NewReader(string(noise(int(size), 1))))
		wantKind(t, err, fault.Unavailable)
		pass()
	}
	for _, sink := range late {
		if err := sink.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pass()
	b.clock.Advance(2 * time.Hour)
	pass()
	if keys := Keys(t, b.stores.Blobs); len(late) != 2 || len(keys) != 0 {
		t.Errorf("%d came late, the store has %v", len(late), keys)
	}
	b.audit(t)
}
