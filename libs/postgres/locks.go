package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// standbyEvery is how often those who don't lead try to, and how often the one who does looks whether it still holds the lock.
const standbyEvery = time.Second

// Lock takes the lock of this name until the end of the transaction, waiting for whoever has it. Locks of one name in two
// schemas are two locks.
func (tx *Tx) Lock(ctx context.Context, name string) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, tx.db.lockID(name))
	return err
}

// Lead runs work while this process holds the lock of that name, and on a connection of its own tries to get it otherwise,
// until ctx ends. work's context ends soon after the lock is lost; for a moment there may be two leaders, so what work
// does must be harmless when done twice. An error of work gives up the lock and is logged, and somebody tries anew.
func (db *DB) Lead(ctx context.Context, name string, work func(ctx context.Context) error) error {
	var last error
	for {
		err := db.leadOnce(ctx, name, work)
		if err != nil && ctx.Err() == nil && !stillAway(last, err) {
			db.opts.Log.WarnContext(ctx, "leading ended, it is tried again", "lock", name, "error", err.Error())
		}
		last = err
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(standbyEvery):
		}
	}
}

func (db *DB) leadOnce(ctx context.Context, name string, work func(ctx context.Context) error) error {
	conn, err := db.lone(ctx)
	if err != nil {
		return err
	}
	defer closeLone(conn) // gives up the lock
	for {
		var got bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, db.lockID(name)).Scan(&got); err != nil {
			return err
		}
		if got {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(standbyEvery):
		}
	}
	return leading(ctx, conn, work)
}

// leading runs work and asks the connection now and then whether it still lives: with it the lock is gone.
func leading(ctx context.Context, conn *pgx.Conn, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(standbyEvery):
			if err := ping(ctx, conn); err != nil {
				cancel(fmt.Errorf("the lock is lost: %w", err))
				return <-done
			}
		}
	}
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return conn.Ping(ctx)
}

// away is why no connection could be had.
type away struct{ error }

func (a away) Unwrap() error { return a.error }

// stillAway reports whether there was no connection the last time and is none now. Loops that try again twice a second tell the
// first time: an outage of an hour is not to fill the log.
func stillAway(last, now error) bool { return errors.As(last, new(away)) && errors.As(now, new(away)) }

// lone opens a connection outside the pool, for what holds one for long. Without one the error is an away.
func (db *DB) lone(ctx context.Context) (*pgx.Conn, error) {
	cfg := db.pool.Config().ConnConfig
	cfg.RuntimeParams["application_name"] += "-session"
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, away{err}
	}
	return conn, nil
}

func closeLone(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is given up either way
}
