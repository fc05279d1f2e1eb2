// Package postgres keeps the files core's catalog in a PostgreSQL database that any number of processes share.
//
// A transaction begins with the row of the owner it is about and holds it to its end, so everything of one person is
// written one after the other and quota is exact, whichever process writes. Reads take no locks: they are snapshots.
// Writes of many uploads share one transaction (group), and with it one commit and one hold of a busy owner's row. The
// outbox is numbered by the last statement before a commit, under a lock that is held until then: numbers are in the
// order of commits. What must be done by one process at a time is done under Turns, and who works on an upload is known
// to all processes by Holds. Times that decide between processes are the database's.
package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Catalog is a files.Catalog on PostgreSQL.
type Catalog struct {
	db    *postgres.DB
	group *group
}

var _ files.Catalog = (*Catalog)(nil)

// Migrations are the schema's, for libs/postgres.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return sub
}

// New makes the catalog on a schema that is up to date (Migrations). The caller must Close it; the database stays its
// caller's to close after that.
func New(db *postgres.DB, reg prometheus.Registerer) *Catalog {
	return &Catalog{db: db, group: newGroup(db, reg)}
}

// Close waits for writes under way and refuses others.
func (c *Catalog) Close() { c.group.close() }

// Write implements files.Catalog.
func (c *Catalog) Write(ctx context.Context, fn func(files.Tx) error) error {
	return c.group.do(ctx, func(t tx) error { return fn(t) })
}

// Read implements files.Catalog.
func (c *Catalog) Read(ctx context.Context, fn func(files.ReadTx) error) error {
	return c.db.View(ctx, func(t *postgres.Tx) error { return fn(tx{Tx: t}) })
}

const (
	insertKey = `INSERT INTO shared_keys (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	selectKey = `SELECT value FROM shared_keys WHERE name = $1`
)

// SharedKey is the key of this name, the same for all processes. The first that asks makes it.
func (c *Catalog) SharedKey(ctx context.Context, name string) (key [32]byte, err error) {
	_, _ = rand.Read(key[:]) // never fails since Go 1.24
	err = c.db.InTx(ctx, func(t *postgres.Tx) error {
		if _, err := t.Exec(ctx, insertKey, name, key[:]); err != nil {
			return err
		}
		var kept []byte
		if err := t.QueryRow(ctx, selectKey, name).Scan(&kept); err != nil {
			return err
		}
		if copy(key[:], kept) != len(key) || len(kept) != len(key) {
			return errors.New("it has another length")
		}
		return nil
	})
	if err != nil {
		return key, fmt.Errorf("read the shared key %s: %w", name, err)
	}
	return key, nil
}
