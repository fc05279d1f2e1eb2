package filessvc

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/sqlite"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	catalog "cloakroom.dev/files-svc/internal/adapter/sqlite"
	"cloakroom.dev/files-svc/internal/files"
)

// stores are where rows and bytes live.
type stores struct {
	catalog   *catalog.Catalog
	blobs     files.Blobs
	cursorKey [32]byte
	close     func() error
}

// errNoStore is for a boot object that no schema has seen.
var errNoStore = errors.New("FilesConfig needs store.sqlite and blobs.disk")

// openStores opens what the boot object names and brings it up to date.
func openStores(ctx context.Context, cfg Config, deps Deps) (_ *stores, err error) {
	spec := cfg.Boot.Spec
	if spec.Store.SQLite == nil || spec.Blobs.Disk == nil {
		return nil, errNoStore
	}
	path := cfg.path(spec.Store.SQLite.Path)
	rows, db, err := openCatalog(ctx, path, deps)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	bytes, err := disk.New(cfg.path(spec.Blobs.Disk.Path), disk.Options{KeepFree: spec.KeepFree.Bytes()})
	if err != nil {
		return nil, fmt.Errorf("open the folder of blobs: %w", err)
	}
	key, err := cursorKey(path + ".cursor-key")
	if err != nil {
		return nil, errors.Join(err, bytes.Close())
	}
	return &stores{
		catalog: rows, blobs: bytes, cursorKey: key,
		close: func() error { return errors.Join(bytes.Close(), db.Close()) },
	}, nil
}

// openCatalog opens the database and brings its schema up to date.
func openCatalog(ctx context.Context, path string, deps Deps) (*catalog.Catalog, *sqlite.DB, error) {
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Name: "files", Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
	})
	if err != nil {
		return nil, nil, err
	}
	rows, err := catalog.New(ctx, db)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return rows, db, nil
}

// path is where a path of the boot object is on this machine.
func (c Config) path(p v1alpha1.FilePath) string {
	if filepath.IsAbs(string(p)) {
		return string(p)
	}
	return filepath.Join(c.BaseDir, string(p))
}

// publicBaseURL is where people reach the gateway.
func (c Config) publicBaseURL() string {
	if c.PublicBaseURL != "" {
		return c.PublicBaseURL
	}
	return string(c.Boot.Spec.PublicBaseURL)
}
