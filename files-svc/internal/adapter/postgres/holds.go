package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/postgres"
)

const (
	// holdTTL is how long the upload of a process that has died stays its own. A client is waited for longer than that
	// (Patience), so it does not notice.
	holdTTL   = 9 * time.Second
	renewHold = holdTTL / 3
	patience  = 15 * time.Second
	// firstLook and longestLook are how often a hold that others have is looked at; whoever has it hears at once.
	firstLook, longestLook = 10 * time.Millisecond, 250 * time.Millisecond
	releaseTime            = 2 * time.Second

	wantedUploads = "wanted_uploads" // the channel on which processes ask each other to let go
)

// Holds is a files.Holds: a row for each upload that somebody works on, with an end by the database's clock, so that the
// processes of two machines agree on it. A notification makes the holder let go at once; one that is lost is made up for by the
// mark in the row, which the holder sees when it renews.
type Holds struct {
	db  *postgres.DB
	log *slog.Logger

	mu   sync.Mutex
	mine map[string]func() // what interrupts each hold of this process, by its holder; as many as requests

	missed chan struct{} // has one element when a notification may have been missed
}

var _ files.Holds = (*Holds)(nil)

// NewHolds makes them; Run must run.
func NewHolds(db *postgres.DB, log *slog.Logger) *Holds {
	return &Holds{db: db, log: log, mine: map[string]func(){}, missed: make(chan struct{}, 1)}
}

// Hold implements files.Holds.
func (h *Holds) Hold(ctx context.Context, id files.UploadID, interrupt func()) (release func(), err error) {
	holder := rand.Text() // of this one hold: who asks for it asks nobody who comes after
	h.note(holder, interrupt)
	defer func() {
		if err != nil {
			h.note(holder, nil)
		}
	}()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for look := firstLook; ; look = min(2*look, longestLook) {
		got, err := h.take(ctx, id, holder)
		if err != nil {
			return nil, err
		}
		if got {
			return func() { h.release(ctx, id, holder) }, nil
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-deadline.C:
			return nil, fault.Retry(fault.Unavailable, "another request works on this upload", time.Second)
		}
	}
}

const heldUpload = `SELECT EXISTS (SELECT FROM upload_holds WHERE upload = $1 AND until >= clock_timestamp())`

// Held implements files.Holds.
func (h *Holds) Held(ctx context.Context, id files.UploadID) (held bool, err error) {
	err = h.db.InTx(ctx, func(t *postgres.Tx) error { return t.QueryRow(ctx, heldUpload, string(id)).Scan(&held) })
	return held, err
}

// note remembers what interrupts a hold; nil forgets it.
func (h *Holds) note(holder string, interrupt func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if interrupt == nil {
		delete(h.mine, holder)
		return
	}
	h.mine[holder] = interrupt
}

const (
	takeHold = `INSERT INTO upload_holds (upload, holder, until, wanted) VALUES ($1, $2, clock_timestamp() + $3, false)
	ON CONFLICT (upload) DO UPDATE SET holder = excluded.holder, until = excluded.until, wanted = false
	WHERE upload_holds.until < clock_timestamp()`
	wantHold    = `UPDATE upload_holds SET wanted = true WHERE upload = $1 AND NOT wanted RETURNING holder`
	renewHolds  = `UPDATE upload_holds SET until = clock_timestamp() + $2 WHERE holder = ANY($1) RETURNING holder, wanted`
	releaseHold = `DELETE FROM upload_holds WHERE upload = $1 AND holder = $2`
	// What nobody has let go, because its process has died, and nobody has asked for since.
	forgetHolds = `DELETE FROM upload_holds WHERE until < clock_timestamp() - interval '1 hour'`
)

// take takes the upload when nobody has it, and asks whoever does for it.
func (h *Holds) take(ctx context.Context, id files.UploadID, holder string) (got bool, err error) {
	err = h.db.InTx(ctx, func(t *postgres.Tx) error {
		n, err := t.Exec(ctx, takeHold, string(id), holder, holdTTL)
		if got = n == 1; err != nil || got {
			return err
		}
		var other string
		err = t.QueryRow(ctx, wantHold, string(id)).Scan(&other)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // it knows, or has just let go
		}
		if err != nil {
			return err
		}
		return t.Notify(ctx, wantedUploads, other)
	})
	return got, err
}

func (h *Holds) release(ctx context.Context, id files.UploadID, holder string) {
	h.note(holder, nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	err := h.db.InTx(ctx, func(t *postgres.Tx) error {
		_, err := t.Exec(ctx, releaseHold, string(id), holder)
		return err
	})
	if err != nil {
		h.log.WarnContext(ctx, "an upload could not be let go; others may have it when its time is over", "upload", id, "error", err.Error())
	}
}

// Run hears what others want and renews what is held, until ctx ends.
func (h *Holds) Run(ctx context.Context) error {
	var hearing sync.WaitGroup
	hearing.Go(func() {
		_ = h.db.Listen(ctx, wantedUploads, h.wanted) // fails with ctx
	})
	defer hearing.Wait()
	tick := time.NewTicker(renewHold)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-h.missed:
		case <-ctx.Done():
			return nil
		}
		if err := h.renew(ctx); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "holds of uploads could not be renewed; others may take them over", "error", err.Error())
		}
	}
}

// wanted is told of a hold that another process wants let go. When notifications may have been missed it is told of none, and a
// renewal at once sees what they were about.
func (h *Holds) wanted(holder string) {
	if holder == "" {
		select {
		case h.missed <- struct{}{}:
		default: // a renewal is to come anyway
		}
		return
	}
	h.mu.Lock()
	interrupt := h.mine[holder]
	h.mu.Unlock()
	if interrupt != nil {
		interrupt()
	}
}

func (h *Holds) renew(ctx context.Context) error {
	h.mu.Lock()
	holders := slices.Collect(maps.Keys(h.mine))
	h.mu.Unlock()
	var asked []string
	err := h.db.InTx(ctx, func(t *postgres.Tx) error {
		asked = nil
		if _, err := t.Exec(ctx, forgetHolds); err != nil || len(holders) == 0 {
			return err
		}
		rows, err := t.Query(ctx, renewHolds, holders, holdTTL)
		if err != nil {
			return err
		}
		var holder string
		var wanted bool
		_, err = pgx.ForEachRow(rows, []any{&holder, &wanted}, func() error {
			if wanted {
				asked = append(asked, holder)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, holder := range asked {
		h.wanted(holder)
	}
	return nil
}
