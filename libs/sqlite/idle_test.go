package sqlite

import (
	"path/filepath"
	"testing"
)

func TestView_TakesTheReaderThatWasUsedLast(t *testing.T) {
	ctx := t.Context()
	db, err := Open(ctx, filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	used := map[*conn]bool{}
	look := func(tx *Tx) error {
		used[tx.conn] = true
		return nil
	}
	for range 3 * readers {
		if err := db.View(ctx, look); err != nil {
			t.Fatal(err)
		}
	}
	if len(used) != 1 {
		t.Errorf("%d readers for one look after the other", len(used))
	}
	within := look
	for range readers - 1 { // all at once, one within the other
		inner := within
		within = func(tx *Tx) error {
			used[tx.conn] = true
			return db.View(ctx, inner)
		}
	}
	if err := db.View(ctx, within); err != nil || len(used) != readers {
		t.Errorf("%d readers of %d at once: %v", len(used), readers, err)
	}
}
