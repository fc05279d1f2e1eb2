package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/files"
)

const eventColumns = `seq, kind, owner, file, version, link, at`

func scanEvent(row pgx.CollectableRow) (e files.Event, err error) {
	err = row.Scan(&e.Seq, &e.Kind, &e.Owner, &e.File, &e.Version, &e.Link, &e.At)
	e.At = e.At.UTC()
	return e, err
}

const selectEvents = `SELECT ` + eventColumns + ` FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`

// EventsAfter implements files.EventReader.
func (t tx) EventsAfter(ctx context.Context, seq int64, limit int) ([]files.Event, error) {
	return all(ctx, t, scanEvent, selectEvents, custom, seq, limit)
}

const selectOwnerEvents = `SELECT ` + eventColumns + ` FROM events WHERE owner = $1 AND seq > $2 ORDER BY seq LIMIT $3`

// OwnerEvents implements files.EventReader.
func (t tx) OwnerEvents(ctx context.Context, owner files.OwnerID, seq int64, limit int) ([]files.Event, error) {
	return all(ctx, t, scanEvent, selectOwnerEvents, custom, string(owner), seq, limit)
}

// The counter remembers the newest event after it has been trimmed.
const selectEventRange = `SELECT coalesce((SELECT min(seq) FROM events), last + 1), last FROM event_counter`

// EventRange implements files.EventReader.
func (t tx) EventRange(ctx context.Context) (first, last int64, err error) {
	type span struct{ first, last int64 }
	s, err := one(ctx, t, func(row pgx.CollectableRow) (s span, err error) {
		err = row.Scan(&s.first, &s.last)
		return s, err
	}, selectEventRange)
	return s.first, s.last, err
}

// AppendEvent implements files.Outbox. The event is numbered and written by the last statement before the commit.
func (t tx) AppendEvent(_ context.Context, e files.Event) error {
	t.w.events = append(t.w.events, e)
	return nil
}

// appendEvents takes the counter, which is then held until the commit, and numbers the events in their order. All
// processes' commits pass here one at a time, and everything else of a transaction has been done before: what they wait for
// is one commit, however many uploads it is of.
const appendEvents = `WITH counter AS (UPDATE event_counter SET last = last + cardinality($1::text[]) RETURNING last)
	INSERT INTO events (` + eventColumns + `)
	SELECT last - cardinality($1) + n, kind, owner, file, version, link, at FROM counter,
	unnest($1, $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[]) WITH ORDINALITY AS e (kind, owner, file, version, link, at, n)`

// queueEvents has the events written.
func (t tx) queueEvents(events []files.Event) {
	if len(events) == 0 {
		return
	}
	n := len(events)
	kinds, owners, ids, links := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	versions, times := make([]int64, n), make([]time.Time, n)
	for i, e := range events {
		kinds[i], owners[i], ids[i], links[i] = string(e.Kind), string(e.Owner), string(e.File), string(e.Link)
		versions[i], times[i] = e.Version, e.At
	}
	t.queue(nil, appendEvents, kinds, owners, ids, versions, links, times)
}

// Only the oldest are looked at: the statement costs the same however long the outbox is.
const trimEvents = `DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT $2) AND at < $1`

// TrimEvents implements files.Outbox.
func (t tx) TrimEvents(ctx context.Context, before time.Time, limit int) (int64, error) {
	return t.exec(ctx, trimEvents, before, limit)
}
