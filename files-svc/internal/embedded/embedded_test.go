// Package embedded_test holds the files core over the embedded default, SQLite and a local disk, to its promises.
package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	"cloakroom.dev/files-svc/internal/adapter/sqlite"
	"cloakroom.dev/files-svc/internal/files/filestest"
	db "cloakroom.dev/libs/sqlite"
)

// open opens both stores in a folder.
func open(ctx context.Context, folder string) (filestest.Stores, func() error, error) {
	d, err := db.Open(ctx, filepath.Join(folder, "files.db"), db.Options{})
	if err != nil {
		return filestest.Stores{}, nil, err
	}
	catalog, err := sqlite.New(ctx, d)
	if err != nil {
		return filestest.Stores{}, nil, errors.Join(err, d.Close())
	}
	blobs, err := disk.New(filepath.Join(folder, "blobs"), disk.Options{})
	if err != nil {
		return filestest.Stores{}, nil, errors.Join(err, d.Close())
	}
	closeAll := func() error { return errors.Join(blobs.Close(), d.Close()) }
	return filestest.Stores{Catalog: catalog, Blobs: blobs}, closeAll, nil
}

func openFor(tb testing.TB) filestest.Stores {
	tb.Helper()
	stores, closeAll, err := open(tb.Context(), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := closeAll(); err != nil {
			tb.Error(err)
		}
	})
	return stores
}

func TestService(t *testing.T) {
	filestest.RunService(t, func(t *testing.T) filestest.Stores { return openFor(t) })
}

func TestModel(t *testing.T) {
	root, world := t.TempDir(), 0
	filestest.RunModel(t, func() (filestest.Stores, func()) {
		world++
		folder := filepath.Join(root, strconv.Itoa(world)) // removed after each world: there are a hundred
		stores, closeAll, err := open(context.Background(), folder)
		if err != nil {
			t.Fatal(err)
		}
		return stores, func() {
			if err := errors.Join(closeAll(), os.RemoveAll(folder)); err != nil {
				t.Error(err)
			}
		}
	})
}
