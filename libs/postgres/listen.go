package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// listenPing is how often an idle listener asks whether its connection still lives: a server that lost power says
	// nothing.
	listenPing = 5 * time.Second
	// listenRetry is how long a listener waits before it connects again.
	listenRetry = 500 * time.Millisecond
)

// Notify tells everyone who listens to the channel, once the transaction has committed. The payload has at most 7999
// bytes. Committing such transactions is done one at a time by the server, for all databases of one it holds.
func (tx *Tx) Notify(ctx context.Context, channel, payload string) error {
	_, err := tx.Exec(ctx, `SELECT pg_notify($1, $2)`, tx.db.channel(channel), payload)
	return err
}

// Listen calls heard for each notification on the channel, in order, on one goroutine, until ctx ends. heard is called with
// no payload whenever notifications may have been missed: at the beginning and after each lost connection. Whoever
// listens must be able to read in tables what the notification told, and should look there now and then in any case.
func (db *DB) Listen(ctx context.Context, channel string, heard func(payload string)) error {
	var last error
	for {
		err := db.listenOnce(ctx, channel, heard)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		db.metrics.listenerLost.Inc()
		if !stillAway(last, err) {
			db.opts.Log.WarnContext(ctx, "listening for notifications ended, it is tried again", "channel", channel, "error", err.Error())
		}
		last = err
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(listenRetry):
		}
	}
}

func (db *DB) listenOnce(ctx context.Context, channel string, heard func(payload string)) error {
	conn, err := db.lone(ctx)
	if err != nil {
		return err
	}
	defer closeLone(conn)
	if _, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{db.channel(channel)}.Sanitize()); err != nil {
		return err
	}
	heard("")
	for {
		wait, cancel := context.WithTimeout(ctx, listenPing)
		n, err := conn.WaitForNotification(wait)
		timedOut := errors.Is(wait.Err(), context.DeadlineExceeded)
		cancel()
		switch {
		case err == nil:
			heard(n.Payload)
		case ctx.Err() != nil:
			return ctx.Err()
		case timedOut && !conn.IsClosed():
			if err := ping(ctx, conn); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func (db *DB) channel(name string) string { return db.opts.Name + "_" + name }
