package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"cloakroom.dev/libs/internal/dbtrace"
)

// maxStatements bounds the prepared statements of a connection. Statements are constants in the code, so the bound is
// only met when somebody builds SQL out of values; then the cache starts anew instead of growing.
const maxStatements = 256

// conn is one connection with its prepared statements. It is used by one goroutine at a time.
type conn struct {
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	raw     rawStatements // of what returns no rows
	tracing dbtrace.Tracing
}

// Tx is a transaction under way. It is valid inside the function it was given to, on that goroutine.
type Tx struct {
	conn        *conn
	uncancelled bool
	memo        map[any]any
	waiting     *waiting // nil: rows are written at once
	beside      bool     // what waits is of no concern
}

// Memo is what the writes that share a commit remember of rows they have read or written: nobody else can change a row between
// the first of them and their commit. It is empty at the beginning of each commit and after a write that has failed, and
// nil in a View. Whoever remembers a row must forget it, or remember the new one, in every statement that changes it.
func (tx *Tx) Memo() map[any]any { return tx.memo }

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := tx.ready(); err != nil {
		return 0, err
	}
	ctx, end := tx.conn.tracing.Statement(tx.context(ctx), query)
	n, err := tx.conn.run(ctx, query, args)
	end(err)
	return n, err
}

// Query runs a statement that returns rows. Close them before the next statement.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := tx.ready(); err != nil {
		return nil, err
	}
	ctx, end := tx.conn.tracing.Statement(tx.context(ctx), query)
	stmt, err := tx.conn.prepare(ctx, query)
	if err != nil {
		end(err)
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	end(err)
	return rows, err
}

// Row is the one row of QueryRow.
type Row struct {
	row *sql.Row
	err error
}

// Scan copies the row's columns. It returns sql.ErrNoRows when there is no row.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.row.Scan(dest...)
}

// QueryRow runs a statement that returns at most one row.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *Row {
	if err := tx.ready(); err != nil {
		return &Row{err: err}
	}
	ctx, end := tx.conn.tracing.Statement(tx.context(ctx), query)
	stmt, err := tx.conn.prepare(ctx, query)
	if err != nil {
		end(err)
		return &Row{err: err}
	}
	row := stmt.QueryRowContext(ctx, args...)
	end(row.Err())
	return &Row{row: row}
}

func (tx *Tx) context(ctx context.Context) context.Context {
	if tx.uncancelled && ctx.Done() != nil {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

func (c *conn) view(fn func(*Tx) error) error {
	if err := c.exec("BEGIN"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = c.exec("ROLLBACK") }() // nothing to keep; also runs when fn panics
	return fn(&Tx{conn: c})
}

// exec runs a transaction statement. It can't be cancelled: half a COMMIT helps nobody.
func (c *conn) exec(query string) error {
	_, err := c.run(context.Background(), query, nil)
	return err
}

// close gives the connection back to its pool, so that the pool can close it.
func (c *conn) close() error {
	for _, s := range c.stmts {
		_ = s.Close()
	}
	_ = c.conn.Raw(func(any) error { c.raw.close(); return nil })
	return c.conn.Close()
}

func (c *conn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	if len(c.stmts) >= maxStatements {
		for q, s := range c.stmts {
			_ = s.Close()
			delete(c.stmts, q)
		}
	}
	s, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	c.stmts[query] = s
	return s, nil
}
