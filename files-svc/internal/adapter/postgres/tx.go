package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/postgres"
)

// tx is a files.Tx on a transaction of libs/postgres.
type tx struct {
	*postgres.Tx
	w *writing // nil in a snapshot, which takes no locks
}

var (
	_ files.Tx   = tx{}
	_ webhook.Tx = tx{}
)

// writing is what a writing transaction has not sent yet. Statements whose answer nobody waits for travel with the next one
// that has an answer, or with the last: an upload's commit is four round trips instead of nine.
type writing struct {
	queued []statement
	sent   bool // anything at all
	events []files.Event
}

// statement is one that waits.
type statement struct {
	query string
	args  []any
	none  error       // what it means when it changes no row; nil: nothing
	rows  func(int64) // is told how many rows it has changed; may be nil
}

// queue has a statement run before the next one that has an answer. Its failure is the failure of that one.
func (t tx) queue(none error, query string, args ...any) {
	t.w.queued = append(t.w.queued, statement{query: query, args: args, none: none})
}

// flush sends what waits.
func (t tx) flush(ctx context.Context) error {
	if len(t.w.queued) == 0 {
		return nil
	}
	results, err := t.sendQueued(ctx, nil)
	return errors.Join(err, results.Close())
}

// sendQueued sends what waits, and last behind it if there is one, and reads the answers to what waited.
func (t tx) sendQueued(ctx context.Context, last *statement) (pgx.BatchResults, error) {
	var b pgx.Batch
	waiting := t.w.queued
	for _, s := range waiting {
		b.Queue(s.query, s.args...)
	}
	if last != nil {
		b.Queue(last.query, last.args...)
	}
	t.w.queued, t.w.sent = nil, true
	results := t.SendBatch(ctx, &b)
	for _, s := range waiting {
		tag, err := results.Exec()
		if err == nil && s.rows != nil {
			s.rows(tag.RowsAffected())
		}
		if err == nil && s.none != nil && tag.RowsAffected() == 0 {
			err = s.none
		}
		if err != nil {
			return results, err
		}
	}
	return results, nil
}

// exec runs a statement now and returns how many rows it changed.
func (t tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if len(t.w.queued) == 0 {
		t.w.sent = true
		return t.Exec(ctx, query, args...)
	}
	results, err := t.sendQueued(ctx, &statement{query: query, args: args})
	if err != nil {
		return 0, errors.Join(err, results.Close())
	}
	tag, err := results.Exec()
	return tag.RowsAffected(), errors.Join(err, results.Close())
}

// change runs a statement that must change exactly one row.
func (t tx) change(ctx context.Context, none error, query string, args ...any) error {
	n, err := t.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return none
	}
	return err
}

// custom is the first argument of queries that must be planned for their values each time: a plan for any values would
// not know which state or page is asked for, nor how little of it.
const custom = pgx.QueryExecModeCacheDescribe

// all reads all rows of a query.
func all[T any](ctx context.Context, t tx, scan func(pgx.CollectableRow) (T, error), query string, args ...any) ([]T, error) {
	if t.w != nil && len(t.w.queued) > 0 && len(args) > 0 && args[0] == any(custom) {
		if err := t.flush(ctx); err != nil { // a batch has no modes
			return nil, err
		}
	}
	if t.w == nil || len(t.w.queued) == 0 {
		if t.w != nil {
			t.w.sent = true
		}
		rows, err := t.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scan)
	}
	results, err := t.sendQueued(ctx, &statement{query: query, args: args})
	if err != nil {
		return nil, errors.Join(err, results.Close())
	}
	rows, err := results.Query()
	if err != nil {
		return nil, errors.Join(err, results.Close())
	}
	found, err := pgx.CollectRows(rows, scan)
	return found, errors.Join(err, results.Close())
}

// one reads a single row.
func one[T any](ctx context.Context, t tx, scan func(pgx.CollectableRow) (T, error), query string, args ...any) (T, error) {
	found, err := all(ctx, t, scan, query, args...)
	if err == nil && len(found) == 0 {
		err = errNotFound()
	}
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

// value reads a query's only value.
func value[T any](ctx context.Context, t tx, query string, args ...any) (T, error) {
	return one(ctx, t, pgx.RowTo[T], query, args...)
}

func errNotFound() error { return fault.New(fault.NotFound, "no such file") }
func errConflict() error { return fault.New(fault.Conflict, "it has been changed meanwhile") }

// nullable is how a time that may be never stands in a column.
func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// verified is how the time of a verification stands in a column: what never was comes first.
func verified(t time.Time) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	return pgtype.Timestamptz{Time: t, Valid: true}
}

func verifiedAt(t pgtype.Timestamptz) time.Time {
	if t.InfinityModifier != pgtype.Finite {
		return time.Time{}
	}
	return t.Time.UTC()
}

func digestOf(b []byte) (files.Digest, error) {
	if len(b) != len(files.Digest{}) {
		return files.Digest{}, fmt.Errorf("digest in the catalog has %d bytes", len(b))
	}
	return files.Digest(b), nil
}
