// Package postgres keeps the auth service's data in a schema of a PostgreSQL database, for any number of replicas.
//
// It implements identity's ports with SQL of its own and holds no rule: what it is given it writes, what it is asked for it
// reads. Transactions run at READ COMMITTED; what one reads for a change is kept true by locks, taken where the ports say
// so. A statement that may have waited for a lock has read around it with an older eye, so a lock and the reading under it are
// two statements, sent in one round trip. The order is: a person's row, then sessions and keys, then the head of the
// revocation log, then the end of the audit trail; whoever takes it the other way round may be undone by the database and is
// run again.
//
// The log's numbers are given under the lock of its head, held to the commit, so they are in the order of commits. A
// notification goes out with each commit that appends: other replicas wake their streams by it, and read the table.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
)

//go:embed migrations
var migrations embed.FS

// Options is what Open can be told; the zero value works.
type Options struct {
	DB postgres.Options
	// CheckOnly refuses a schema that is behind instead of bringing it up to date.
	CheckOnly bool
	// Now stands in for the database's time, in tests.
	Now func() time.Time
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	db      *postgres.DB
	now     func() time.Time
	replica uuid.UUID // of this process, among those that share the database
}

var _ identity.Store = (*Store)(nil)

// Open connects, and brings the tables up to date or checks that they are. The caller must Close the store.
func Open(ctx context.Context, dsn secret.String, opts Options) (*Store, error) {
	if opts.DB.Name == "" {
		opts.DB.Name = "auth"
	}
	db, err := postgres.Open(ctx, dsn, opts.DB)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	switch {
	case err != nil:
	case opts.CheckOnly:
		err = db.CheckSchema(ctx, files)
	default:
		err = db.Migrate(ctx, files)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db: db, now: opts.Now, replica: uuid.New()}, nil
}

// Close waits for transactions under way and closes the connections.
func (s *Store) Close() error { return s.db.Close() }

// InTx runs fn, again where another transaction stood in its way, and returns when its commit is durable.
func (s *Store) InTx(ctx context.Context, fn func(identity.Tx) error) error {
	return s.db.InTx(ctx, func(tx *postgres.Tx) error { return fn(s.begin(tx, true)) })
}

// InTxRelaxed is InTx that does not wait for the server's disk.
func (s *Store) InTxRelaxed(ctx context.Context, fn func(identity.Tx) error) error {
	return s.db.InTxRelaxed(ctx, func(tx *postgres.Tx) error { return fn(s.begin(tx, true)) })
}

// View runs fn on a snapshot.
func (s *Store) View(ctx context.Context, fn func(identity.Tx) error) error {
	return s.db.View(ctx, func(tx *postgres.Tx) error { return fn(s.begin(tx, false)) })
}

func (s *Store) begin(tx *postgres.Tx, writes bool) *transaction {
	t := &transaction{tx: tx, writes: writes, now: tx.Now()}
	if s.now != nil {
		t.now = s.now().UTC().Truncate(time.Microsecond)
	}
	return t
}

// transaction is one of either sort; PostgreSQL itself refuses to write, and to lock, in a View.
type transaction struct {
	tx       *postgres.Tx
	writes   bool
	notified bool
	now      time.Time
}

// Now is the database's time when the transaction began.
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

// locking is a SELECT that locks its rows when the transaction writes.
func (t *transaction) locking(query, lock string) string {
	if t.writes {
		return query + " " + lock
	}
	return query
}

// lock takes a lock that stands for something without a row of its own. A View needs none.
func (t *transaction) lock(ctx context.Context, name string) error {
	if !t.writes {
		return nil
	}
	return t.tx.Lock(ctx, name)
}

func (t *transaction) exec(ctx context.Context, query string, args ...any) (int64, error) {
	return t.tx.Exec(ctx, query, storable(args)...)
}

func (t *transaction) row(ctx context.Context, query string, args ...any) scanner {
	return t.tx.QueryRow(ctx, query, storable(args)...)
}

// one runs a statement that must change one row, and returns otherwise when it has changed none.
func (t *transaction) one(ctx context.Context, otherwise error, query string, args ...any) error {
	n, err := t.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}

// did reports whether a statement has changed a row.
func (t *transaction) did(ctx context.Context, query string, args ...any) (bool, error) {
	n, err := t.exec(ctx, query, args...)
	return n > 0, err
}

// sweep removes what is past a time, at most limit rows. Rows that another replica is removing are left to it.
func (t *transaction) sweep(ctx context.Context, table, key, column string, limit int) (int, error) {
	n, err := t.exec(ctx, `DELETE FROM `+table+` WHERE `+key+` IN
		(SELECT `+key+` FROM `+table+` WHERE `+column+` <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)`, t.now, limit)
	return int(n), err
}

// scanner is a row of either sort.
type scanner interface{ Scan(dest ...any) error }

// list reads all rows of a query.
func list[T any](ctx context.Context, t *transaction, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := t.tx.Query(ctx, query, storable(args)...)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return scan(row) })
	if len(out) == 0 {
		return nil, err
	}
	return out, err
}

// storable brings what clients have sent into what PostgreSQL's texts can hold: UTF-8 without zero bytes. What comes that
// way is free text such as a browser's name; an identifier with such bytes is nobody's.
func storable(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || strings.ToValidUTF8(s, "") != s) {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	return args
}

// id is a uuid column's value. What is no uuid is NULL: no row has it.
func id(s string) *uuid.UUID {
	u, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return nil
	}
	return &u
}
