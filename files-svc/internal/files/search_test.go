package files_test

import (
	"context"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

// asked counts questions for one blob: each that a context can stop costs a driver goroutines that wait for it.
type asked struct {
	files.Catalog
	blobs, stoppable int
}

func (a *asked) Read(ctx context.Context, fn func(files.ReadTx) error) error {
	return a.Catalog.Read(ctx, func(tx files.ReadTx) error { return fn(askedTx{tx, a}) })
}

type askedTx struct {
	files.ReadTx
	*asked
}

func (tx askedTx) Blob(ctx context.Context, id files.BlobID) (files.Blob, error) {
	tx.blobs++
	if ctx.Done() != nil {
		tx.stoppable++
	}
	return tx.ReadTx.Blob(ctx, id)
}

func TestReap_AsksForKeysWithoutGoroutines(t *testing.T) {
	catalog, clock := &asked{Catalog: filestest.NewCatalog()}, filestest.NewClock()
	s := filestest.New(t, filestest.Stores{Catalog: catalog, Blobs: filestest.NewBlobs()}, files.Options{Now: clock.Now})
	const kept = 5
	for range kept {
		if _, err := create(t, s, files.NewFile{Name: "f"}); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	if err := s.Reap(ctx); err != nil {
		t.Fatal(err)
	}
	if catalog.blobs < kept || catalog.stoppable > 0 {
		t.Errorf("%d of %d questions can be stopped", catalog.stoppable, catalog.blobs)
	}
	for range kept {
		if _, err := create(t, s, files.NewFile{Name: "g"}); err != nil {
			t.Fatal(err)
		}
	}
	before := catalog.blobs
	stop()
	if err := s.Reap(ctx); err == nil || catalog.blobs > before {
		t.Errorf("after its end %d keys were asked for, %v", catalog.blobs-before, err)
	}
}
