package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// underLock locks a row and reads with a second statement, so that what it reads is not older than the lock, in one round
// trip. Both take the same arguments. A View locks nothing.
func (t *transaction) underLock(ctx context.Context, lock, query string, args ...any) scanner {
	if !t.writes {
		return t.row(ctx, query, args...)
	}
	var b pgx.Batch
	b.Queue(lock, args...)
	b.Queue(query, args...)
	return lockedRow{t.tx.SendBatch(ctx, &b)}
}

// lockedRow is the row of the second statement.
type lockedRow struct{ results pgx.BatchResults }

func (r lockedRow) Scan(dest ...any) error {
	if _, err := r.results.Exec(); err != nil {
		_ = r.results.Close() // says the same again
		return err
	}
	err := r.results.QueryRow().Scan(dest...)
	if closing := r.results.Close(); err == nil {
		err = closing
	}
	return err
}
