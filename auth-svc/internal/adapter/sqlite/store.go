// Package sqlite keeps the auth service's data in one SQLite file.
//
// It implements identity's ports with SQL of its own and holds no rule: what it is given it writes, what it is asked
// for it reads. There is one writer, so a transaction sees nothing change under it, numbers in the log are in commit
// order, and locks that the ports speak of need no statement. Writers share commits (libs/sqlite); a call that
// has returned is on disk.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqlite"

	"cloakroom.dev/auth-svc/internal/identity"
)

//go:embed migrations
var migrations embed.FS

// Options is what Open can be told; the zero value works.
type Options struct {
	DB  sqlite.Options
	Now func() time.Time // default time.Now
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	db  *sqlite.DB
	now func() time.Time
}

var _ identity.Store = (*Store)(nil)

// Open opens or creates the file and brings its tables up to date. The caller must Close the store.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	db, err := sqlite.Open(ctx, path, opts.DB)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = db.Migrate(ctx, files)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Store{db: db, now: opts.Now}, nil
}

// Close waits for writes under way and closes the file.
func (s *Store) Close() error { return s.db.Close() }

// InTx runs fn alone among writers and returns when its commit is on disk.
func (s *Store) InTx(ctx context.Context, fn func(identity.Tx) error) error {
	return s.db.InTx(ctx, func(tx *sqlite.Tx) error { return fn(&transaction{tx, s.moment()}) })
}

// InTxRelaxed is InTx that does not wait for the disk.
func (s *Store) InTxRelaxed(ctx context.Context, fn func(identity.Tx) error) error {
	return s.db.InTxRelaxed(ctx, func(tx *sqlite.Tx) error { return fn(&transaction{tx, s.moment()}) })
}

// View runs fn on a snapshot.
func (s *Store) View(ctx context.Context, fn func(identity.Tx) error) error {
	return s.db.View(ctx, func(tx *sqlite.Tx) error { return fn(&transaction{tx, s.moment()}) })
}

func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// transaction is one of either sort; SQLite itself refuses to write in a View.
type transaction struct {
	tx  *sqlite.Tx
	now time.Time
}

// Now is the machine's time when the transaction began: the database has no other.
func (t *transaction) Now() time.Time { return t.now }

var (
	errNotFound = fault.New(fault.NotFound, "not found")
	errMoved    = fault.New(fault.Conflict, "changed meanwhile")
	errTaken    = fault.New(fault.UserExists, "an account with this identifier exists already")
)

// found turns the lack of a row into fault.NotFound, and says of other errors what was being read.
func found(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return errNotFound
	default:
		return fmt.Errorf("read %s: %w", what, err)
	}
}

// one runs a statement that must change one row, and returns otherwise when it has changed none.
func (t *transaction) one(ctx context.Context, otherwise error, query string, args ...any) error {
	n, err := t.tx.Exec(ctx, query, args...)
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}

// scanner is a row of either sort.
type scanner interface{ Scan(dest ...any) error }

// list reads all rows of a query.
func list[T any](ctx context.Context, t *transaction, scan func(scanner) (T, error), query string, args ...any) (out []T, err error) {
	rows, err := t.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
