package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// ErrBehind is what CheckSchema returns when the schema lacks a migration that the code needs.
var ErrBehind = errors.New("the schema is behind this program: run its migrate command first")

// migrationLockTimeout bounds how long a migration waits for a table. What waits for a table blocks everybody who comes
// after, so it gives up soon and is run again.
const migrationLockTimeout = "5s"

// Migrate makes the schema where it is missing and brings it up to the newest of the migrations (goose's SQL files at the root
// of fsys). It only ever goes forward. Several processes may call it at once: an advisory lock lets one work, and the
// others find nothing left to do. A schema that is ahead, because newer code has been here, is left alone: migrations suit
// the code of the release before.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS) error {
	pool := db.lonePool()
	defer pool.Close()
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(db.lockID("migrate")), lock.WithLockTimeout(1, 300))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, pool, fsys, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := db.makeSchema(ctx, pool); err != nil {
		return fmt.Errorf("migrate: make the schema: %w", mapError(err))
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", mapError(err))
	}
	db.pool.Reset() // prepared statements of before would meet tables of after
	return nil
}

// makeSchema looks first: a role that may not make schemas can use one that was made for it. IF NOT EXISTS alone does not
// stand two processes at once.
func (db *DB) makeSchema(ctx context.Context, pool *sql.DB) error {
	var there bool
	if err := pool.QueryRowContext(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, db.opts.Name).Scan(&there); err != nil || there {
		return err
	}
	_, err := pool.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+db.opts.Name)
	if IsUnique(err) {
		return nil
	}
	return err
}

// CheckSchema returns ErrBehind when a migration of fsys has not been run. It changes nothing.
func (db *DB) CheckSchema(ctx context.Context, fsys fs.FS) error {
	pool := db.lonePool()
	defer pool.Close()
	var there bool
	if err := pool.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&there); err != nil {
		return fmt.Errorf("read the schema's version: %w", mapError(err))
	}
	if !there {
		return ErrBehind
	}
	p, err := goose.NewProvider(goose.DialectPostgres, pool, fsys)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	states, err := p.Status(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", mapError(err))
	}
	for _, s := range states {
		if s.State != goose.StateApplied {
			return fmt.Errorf("%w (%s is missing)", ErrBehind, s.Source.Path)
		}
	}
	return nil
}

// lonePool is a connection without the pool's time limits: a migration takes as long as it takes.
func (db *DB) lonePool() *sql.DB {
	cfg := db.pool.Config().ConnConfig
	cfg.RuntimeParams["statement_timeout"] = "0"
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	cfg.RuntimeParams["lock_timeout"] = migrationLockTimeout
	return stdlib.OpenDB(*cfg)
}

// lockID is the number of the advisory lock with this name, distinct for each schema.
func (db *DB) lockID(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("cloakroom/" + db.opts.Name + "/" + name))
	return int64(h.Sum64())
}
