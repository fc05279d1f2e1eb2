// Package sqlite keeps the files core's catalog in a SQLite database.
//
// Writes of many uploads share one commit (libs/sqlite), so a transaction here is a handful of statements on one
// connection and never waits. There is one writer: what a transaction has read stays as it is until its end, and the
// outbox is numbered in the order of commits, without a lock of our own.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Catalog is a files.Catalog on SQLite.
type Catalog struct{ db *sqlite.DB }

var _ files.Catalog = (*Catalog)(nil)

// New brings the schema up to date and makes the catalog. The database stays its caller's to close.
func New(ctx context.Context, db *sqlite.DB) (*Catalog, error) {
	fsys, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("open the files catalog: %w", err)
	}
	if err := db.Migrate(ctx, fsys); err != nil {
		return nil, fmt.Errorf("open the files catalog: %w", err)
	}
	return &Catalog{db: db}, nil
}

// Write implements files.Catalog.
func (c *Catalog) Write(ctx context.Context, fn func(files.Tx) error) error {
	return c.db.InTx(ctx, func(t *sqlite.Tx) error { return fn(tx{t}) })
}

// Read implements files.Catalog.
func (c *Catalog) Read(ctx context.Context, fn func(files.ReadTx) error) error {
	return c.db.View(ctx, func(t *sqlite.Tx) error { return fn(tx{t}) })
}

// tx is a files.Tx on a transaction of libs/sqlite.
type tx struct{ *sqlite.Tx }

var (
	_ files.Tx   = tx{}
	_ webhook.Tx = tx{}
)

// change runs a statement that must change exactly one row.
func (t tx) change(ctx context.Context, none error, query string, args ...any) error {
	n, err := t.Exec(ctx, query, args...)
	if err == nil && n == 0 {
		return none
	}
	return err
}

// insert runs a statement that adds one row.
func (t tx) insert(ctx context.Context, query string, args ...any) error {
	_, err := t.Exec(ctx, query, args...)
	if sqlite.IsUnique(err) {
		return errConflict()
	}
	return err
}

// What every upload adds. Uploads that share a commit add theirs together: a version after its file and its blob.
var (
	blobRows    = sqlite.NewRows(1, "blobs", blobColumns)
	fileRows    = sqlite.NewRows(2, "files", fileColumns)
	versionRows = sqlite.NewRows(3, "versions", versionColumns)
	eventRows   = sqlite.NewRows(4, "events", eventColumns)
)

// add is insert for these.
func (t tx) add(ctx context.Context, rows *sqlite.Rows, args ...any) error {
	err := t.Insert(ctx, rows, args...)
	if sqlite.IsUnique(err) {
		return errConflict()
	}
	return err
}

// scanner is a row or rows.
type scanner interface{ Scan(dest ...any) error }

// one reads a single row.
func one[T any](row scanner, scan func(scanner) (T, error)) (T, error) {
	v, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return v, errNotFound()
	}
	return v, err
}

// all reads all rows and closes them.
func all[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func errNotFound() error { return fault.New(fault.NotFound, "no such file") }
func errConflict() error { return fault.New(fault.Conflict, "it has been changed meanwhile") }

// micros is how a time stands in a column; never is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqlite.Micros(t)
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return sqlite.Time(micros)
}

func digestOf(b []byte) (files.Digest, error) {
	if len(b) != len(files.Digest{}) {
		return files.Digest{}, fmt.Errorf("digest in the catalog has %d bytes", len(b))
	}
	return files.Digest(b), nil
}
