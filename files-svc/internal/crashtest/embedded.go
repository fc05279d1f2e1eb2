package crashtest

import (
	"context"
	"errors"
	"path/filepath"

	"cloakroom.dev/files-svc/internal/adapter/disk"
	catalog "cloakroom.dev/files-svc/internal/adapter/sqlite"
	"cloakroom.dev/libs/sqlite"
)

// OpenEmbedded opens what the embedded default keeps files in.
func OpenEmbedded(ctx context.Context, folder string, h Hooks) (*Opened, error) {
	db, err := sqlite.Open(ctx, filepath.Join(folder, "files.db"), sqlite.Options{Name: "files"})
	if err != nil {
		return nil, err
	}
	rows, err := catalog.New(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	blobs, err := disk.New(filepath.Join(folder, BlobFolder), disk.Options{At: h.At, Around: h.Around})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Opened{Catalog: rows, Blobs: blobs, Close: func() error { return errors.Join(blobs.Close(), db.Close()) }}, nil
}
