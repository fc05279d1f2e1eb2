package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Batch runs statements as one writing transaction in a single round trip, where InTx takes two for itself, and hands their
// results to read. Each statement sees what was committed before it began. It is for what is so small that the round trips
// are most of it. queue and read may run more than once.
func (db *DB) Batch(ctx context.Context, queue func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	ctx, end := db.tracing.Start(ctx, "postgres.batch")
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.opts.TxTimeout)
	defer cancel()
	var err error
	for try := 1; ; try++ {
		err = db.batchOnce(ctx, deadline, queue, read)
		if err == nil || !isRepeatable(err) || try == maxTries || !pause(ctx, deadline, try) {
			break
		}
		db.metrics.repeated.Inc()
	}
	if err != nil {
		err = db.finish(err)
	}
	end(err)
	return err
}

func (db *DB) batchOnce(ctx, deadline context.Context, queue func(*pgx.Batch), read func(pgx.BatchResults) error) error {
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	var b pgx.Batch
	queue(&b)
	results := conn.Conn().SendBatch(joined{deadline, ctx}, &b)
	if err := read(results); err != nil {
		_ = results.Close()
		return err
	}
	return results.Close() // the commit's answer
}
