package files_test

import (
	"context"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

// asked counts questions for rows of blobs, and the keys in them.
type asked struct {
	files.Catalog
	questions, keys int
}

func (a *asked) Read(ctx context.Context, fn func(files.ReadTx) error) error {
	return a.Catalog.Read(ctx, func(tx files.ReadTx) error { return fn(askedTx{tx, a}) })
}

type askedTx struct {
	files.ReadTx
	*asked
}

func (tx askedTx) Blob(ctx context.Context, id files.BlobID) (files.Blob, error) {
	tx.questions, tx.keys = tx.questions+1, tx.keys+1
	return tx.ReadTx.Blob(ctx, id)
}

func (tx askedTx) KnownBlobs(ctx context.Context, ids []files.BlobID) (map[files.BlobID]bool, error) {
	tx.questions, tx.keys = tx.questions+1, tx.keys+len(ids)
	return tx.ReadTx.KnownBlobs(ctx, ids)
}

// A busy minute leaves hundreds of thousands of keys to look for: a question for each would keep a database busy for seconds.
func TestReap_AsksForManyKeysAtOnce(t *testing.T) {
	catalog, clock := &asked{Catalog: filestest.NewCatalog()}, filestest.NewClock()
	s := filestest.New(t, filestest.Stores{Catalog: catalog, Blobs: filestest.NewBlobs()}, files.Options{Now: clock.Now})
	const kept = 50
	for range kept {
		if _, err := create(t, s, files.NewFile{Name: "f"}); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(time.Hour)
	catalog.questions, catalog.keys = 0, 0
	if err := s.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if catalog.keys < kept || catalog.questions > 2 {
		t.Errorf("%d questions for %d keys", catalog.questions, catalog.keys)
	}
}
