package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/postgres"
)

const (
	beginPart = `SAVEPOINT part`
	keepPart  = `RELEASE SAVEPOINT part`
	undoPart  = `ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part`
	// hurry is for all but the first write of a batch: long enough for a lock that is being let go, too short to matter to
	// those who wait for the batch.
	hurry   = `SET LOCAL lock_timeout = '5ms'`
	patient = `SET LOCAL lock_timeout TO DEFAULT`
)

// attempt is one run of a batch's transaction.
type attempt struct {
	ended  int // writes that have an outcome
	events []files.Event
}

// run runs the writes one after the other. Those from ended on were not run, or undone for another time.
func (b *attempt) run(t *postgres.Tx, batch []*write) error {
	ctx := context.WithoutCancel(batch[0].ctx)
	for i, w := range batch {
		w.err, w.panicked = nil, nil
		if w.ctx.Err() != nil { // nobody waits for it any more
			w.err = context.Cause(w.ctx)
			b.ended++
			continue
		}
		again, err := b.one(t, w, i == 0, len(batch) == 1)
		if err != nil {
			return err
		}
		if again {
			break
		}
		b.ended++
	}
	rest := tx{t, &writing{}}
	if len(batch) > 1 {
		rest.queue(nil, patient)
	}
	rest.queueEvents(b.events)
	return rest.flush(ctx)
}

// one runs a write. err ends the transaction; again says that the write has met the database's refusal and has been
// undone, to be run by itself, where the refusal can be waited for or told.
func (b *attempt) one(t *postgres.Tx, w *write, first, alone bool) (again bool, err error) {
	own := tx{t, &writing{}}
	if !alone {
		if !first {
			own.queue(nil, hurry)
		}
		own.queue(nil, beginPart)
	}
	w.err = w.call(own)
	if w.err == nil && !alone {
		own.queue(nil, keepPart)
	}
	if w.err == nil {
		w.err = own.flush(w.ctx)
	}
	switch {
	case w.err == nil:
		b.events = append(b.events, own.w.events...)
		return false, nil
	case alone:
		b.ended = 1
		err, w.err = w.err, nil // the transaction's outcome is its own
		return false, err
	case !own.w.sent:
		return false, nil
	}
	// Not as part of a batch: where a statement has failed nothing but this can be prepared, let alone run.
	if _, err := t.Exec(w.ctx, undoPart); err != nil {
		return false, err
	}
	again = errors.As(w.err, new(*pgconn.PgError))
	w.solo = again && first
	return again, nil
}

// call runs the caller's function and catches its panic.
func (w *write) call(t tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.panicked, err = r, errPanicked
		}
	}()
	return w.fn(t)
}
