package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"cloakroom.dev/libs/telemetry/metric"
)

// maxTries bounds how often a transaction is run: the losers of a deadlock or of a restart, not those of a database that
// is gone, for whom the next client may wait.
const maxTries = 5

// Both begin and tell, in one round trip, the time and whether the server is a standby: that takes no writes, and what it
// shows a reader lags behind, by a log-out for instance. The reader's snapshot is the one that its first SELECT takes: this one.
const (
	beginWrite = `BEGIN; ` + look
	beginRead  = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ` + look
	look       = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_is_in_recovery()::int`
)

// Tx is a transaction under way. It is valid inside the function it was given to, on that goroutine.
type Tx struct {
	conn     *pgx.Conn
	db       *DB
	now      time.Time
	deadline context.Context
}

// InTx runs fn in a writing transaction and returns after its commit. When fn returns an error nothing of it is kept, and
// that error is returned, with what the database says of itself turned into faults. fn may run more than once, so it
// keeps nothing from a former run; it must wait for nothing but its own statements. Once a connection is found the
// outcome is told even when ctx ends.
func (db *DB) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	return db.traced(ctx, "write", beginWrite, fn)
}

// InTxRelaxed is InTx for what may be lost when the server or its machine crashes within the next moment (three times
// wal_writer_delay, 0.6 s by default): it does not wait for the disk. This process may die.
func (db *DB) InTxRelaxed(ctx context.Context, fn func(tx *Tx) error) error {
	return db.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit TO off`); err != nil {
			return err
		}
		return fn(tx)
	})
}

// View runs fn on one snapshot that holds every commit acknowledged before; writes fail. fn may run more than once.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	return db.traced(ctx, "read", beginRead, fn)
}

// traced runs a transaction inside a span, and measures it.
func (db *DB) traced(ctx context.Context, kind, begin string, fn func(*Tx) error) error {
	ctx, end := db.tracing.Start(ctx, "postgres."+kind)
	began := time.Now()
	err := db.run(ctx, begin, fn)
	metric.Observe(ctx, db.metrics.seconds.WithLabelValues(kind), time.Since(began))
	end(err)
	return err
}

func (db *DB) run(ctx context.Context, begin string, fn func(*Tx) error) error {
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.opts.TxTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := db.once(ctx, deadline, begin, fn)
		if err == nil {
			return nil
		}
		if !isRepeatable(err) || try == maxTries || !pause(ctx, deadline, try) {
			return db.finish(err)
		}
		db.metrics.repeated.Inc()
	}
}

// pause waits a little longer each time, and reports whether there is still somebody to wait.
func pause(ctx, deadline context.Context, try int) bool {
	most := 4 * time.Millisecond << (2 * try) // 16 ms, 64 ms, 256 ms, 1 s
	select {
	case <-time.After(most/2 + rand.N(most/2)): //nolint:gosec // spreading retries is no secret
		return true
	case <-ctx.Done():
		return false
	case <-deadline.Done():
		return false
	}
}

// finish is where an error leaves the package. A server that has become a standby is left, with all connections to it: new
// ones look for the one that takes writes.
func (db *DB) finish(err error) error {
	if isReadOnly(err) {
		db.pool.Reset()
	}
	return mapError(err)
}

func (db *DB) once(ctx, deadline context.Context, begin string, fn func(*Tx) error) (err error) {
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // closes a connection that broke, or that is still inside a transaction
	tx := &Tx{conn: conn.Conn(), db: db, deadline: deadline}
	if err := tx.begin(begin); err != nil {
		return notCommitted{fmt.Errorf("begin: %w", err)}
	}
	committed := false
	defer func() {
		if !committed { // also when fn panics; a connection that is gone has rolled back by itself
			_, _ = tx.conn.Exec(deadline, `ROLLBACK`)
		}
	}()
	if err := fn(tx); err != nil {
		return notCommitted{err}
	}
	tag, err := tx.conn.Exec(deadline, `COMMIT`)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	if tag.String() == "ROLLBACK" { // a statement had failed and fn went on
		return errors.New("commit: a statement of the transaction has failed")
	}
	return nil
}

func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	wait, cancel := context.WithTimeout(ctx, db.opts.AcquireTimeout)
	defer cancel()
	conn, err := db.pool.Acquire(wait)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("wait for a connection: %w", ctx.Err())
	case wait.Err() != nil && db.pool.Stat().AcquiredConns() == db.pool.Stat().MaxConns():
		db.metrics.refused.Inc()
		return nil, errBusy
	default:
		return nil, unreachable{fmt.Errorf("connect: %w", err)}
	}
}

// begin sends both statements as one simple query: BEGIN by itself would cost a round trip.
func (tx *Tx) begin(query string) error {
	results, err := tx.conn.PgConn().Exec(tx.deadline, query).ReadAll()
	if err != nil {
		return err
	}
	row := results[len(results)-1].Rows[0]
	micros, err := strconv.ParseInt(string(row[0]), 10, 64)
	if err != nil {
		return err
	}
	if string(row[1]) == "1" {
		return &pgconn.PgError{Severity: "ERROR", Code: codeReadOnly, Message: "the server is a standby"}
	}
	tx.now = time.UnixMicro(micros).UTC()
	return nil
}

// Now is the database's time when the transaction began, UTC, in whole microseconds.
func (tx *Tx) Now() time.Time { return tx.now }

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, end := tx.db.tracing.Statement(tx.bound(ctx), query)
	tag, err := tx.conn.Exec(ctx, query, args...)
	end(err)
	return tag.RowsAffected(), err
}

// Query runs a statement that returns rows. Read or close them before the next statement; pgx.CollectRows does.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	ctx, end := tx.db.tracing.Statement(tx.bound(ctx), query)
	rows, err := tx.conn.Query(ctx, query, args...)
	end(err)
	return rows, err
}

// QueryRow runs a statement that returns at most one row; Scan returns an error that is sql.ErrNoRows when there is none.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	ctx, end := tx.db.tracing.Statement(tx.bound(ctx), query)
	row := tx.conn.QueryRow(ctx, query, args...)
	end(nil)
	return row
}

// SendBatch runs several statements in one round trip. Close the results before the next statement.
func (tx *Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return tx.conn.SendBatch(tx.bound(ctx), b)
}

// bound gives a statement the transaction's deadline and the caller's values. A caller that goes away does not cut the
// statement: the transaction is short, and a cut one costs the connection.
func (tx *Tx) bound(ctx context.Context) context.Context { return joined{tx.deadline, ctx} }

type joined struct {
	context.Context
	values context.Context
}

func (j joined) Value(key any) any { return j.values.Value(key) }
