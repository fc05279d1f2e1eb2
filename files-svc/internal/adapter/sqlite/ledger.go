package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

const selectOwner = `SELECT bytes, reserved, files, versions, erased_at FROM owners WHERE id = ?`

// Owner implements files.OwnerReader. Many uploads of one person share a commit, and each asks for the account the last
// has left.
func (t tx) Owner(ctx context.Context, id files.OwnerID) (files.Owner, error) {
	return remembered(t, id, func() (files.Owner, error) {
		o := files.Owner{ID: id}
		var erased int64
		err := t.Beside().QueryRow(ctx, selectOwner, string(id)).Scan(&o.Bytes, &o.Reserved, &o.Files, &o.Versions, &erased)
		if errors.Is(err, sql.ErrNoRows) {
			return o, nil
		}
		o.ErasedAt = timeOf(erased)
		return o, err
	})
}

const saveOwner = `INSERT INTO owners (id, bytes, reserved, files, versions, erased_at) VALUES (?, ?, ?, ?, ?, ?)
	ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes, reserved = excluded.reserved, files = excluded.files,
	versions = excluded.versions, erased_at = excluded.erased_at`

// SaveOwner implements files.OwnerWriter.
func (t tx) SaveOwner(ctx context.Context, o files.Owner) error {
	forget(t, o.ID)
	_, err := t.Beside().Exec(ctx, saveOwner, string(o.ID), o.Bytes, o.Reserved, o.Files, o.Versions, micros(o.ErasedAt))
	if err == nil {
		o.ErasedAt = timeOf(micros(o.ErasedAt)) // as it would be read
		remember(t, o.ID, o)
	}
	return err
}

const selectLogPosition = `SELECT coalesce(max(seq), 0) FROM log_position`

// LogPosition implements files.OwnerReader.
func (t tx) LogPosition(ctx context.Context) (seq int64, err error) {
	err = t.QueryRow(ctx, selectLogPosition).Scan(&seq)
	return seq, err
}

const saveLogPosition = `INSERT INTO log_position (only, seq) VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET seq = excluded.seq`

// SetLogPosition implements files.OwnerWriter.
func (t tx) SetLogPosition(ctx context.Context, seq int64) error {
	_, err := t.Exec(ctx, saveLogPosition, seq)
	return err
}

const epochColumns = `id, state, beats, settled, changed_at`

func scanEpoch(row scanner) (e files.Epoch, err error) {
	var changed int64
	err = row.Scan(&e.ID, &e.State, &e.Beats, &e.Settled, &changed)
	e.ChangedAt = timeOf(changed)
	return e, err
}

const selectEpoch = `SELECT ` + epochColumns + ` FROM epochs WHERE id = ?`

// Epoch implements files.EpochReader. Every upload asks for its writer's.
func (t tx) Epoch(ctx context.Context, id files.EpochID) (files.Epoch, error) {
	return remembered(t, id, func() (files.Epoch, error) {
		return one(t.Beside().QueryRow(ctx, selectEpoch, string(id)), scanEpoch)
	})
}

const selectEpochs = `SELECT ` + epochColumns + ` FROM epochs ORDER BY id`

// Epochs implements files.EpochReader.
func (t tx) Epochs(ctx context.Context) ([]files.Epoch, error) {
	rows, err := t.Query(ctx, selectEpochs)
	return all(rows, err, scanEpoch)
}

const insertEpoch = `INSERT INTO epochs (` + epochColumns + `) VALUES (?, ?, ?, ?, ?)`

// InsertEpoch implements files.EpochWriter.
func (t tx) InsertEpoch(ctx context.Context, e files.Epoch) error {
	return t.insert(ctx, insertEpoch, string(e.ID), string(e.State), e.Beats, e.Settled, micros(e.ChangedAt))
}

const updateEpoch = `UPDATE epochs SET state = ?, beats = ?, settled = ?, changed_at = ? WHERE id = ? AND state = ?`

// UpdateEpoch implements files.EpochWriter.
func (t tx) UpdateEpoch(ctx context.Context, e files.Epoch, from files.EpochState) error {
	forget(t, e.ID)
	return t.change(ctx, errConflict(), updateEpoch, string(e.State), e.Beats, e.Settled, micros(e.ChangedAt), string(e.ID), string(from))
}

const deleteEpoch = `DELETE FROM epochs WHERE id = ?`

// DeleteEpoch implements files.EpochWriter.
func (t tx) DeleteEpoch(ctx context.Context, id files.EpochID) error {
	forget(t, id)
	_, err := t.Exec(ctx, deleteEpoch, string(id))
	return err
}

const eventColumns = `kind, owner, file, version, link, at`

func scanEvent(row scanner) (e files.Event, err error) {
	var at int64
	err = row.Scan(&e.Seq, &e.Kind, &e.Owner, &e.File, &e.Version, &e.Link, &at)
	e.At = timeOf(at)
	return e, err
}

const selectEvents = `SELECT seq, ` + eventColumns + ` FROM events WHERE seq > ? ORDER BY seq LIMIT ?`

// EventsAfter implements files.EventReader.
func (t tx) EventsAfter(ctx context.Context, seq int64, limit int) ([]files.Event, error) {
	rows, err := t.Query(ctx, selectEvents, seq, limit)
	return all(rows, err, scanEvent)
}

const selectOwnerEvents = `SELECT seq, ` + eventColumns + ` FROM events WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?`

// OwnerEvents implements files.EventReader.
func (t tx) OwnerEvents(ctx context.Context, owner files.OwnerID, seq int64, limit int) ([]files.Event, error) {
	rows, err := t.Query(ctx, selectOwnerEvents, string(owner), seq, limit)
	return all(rows, err, scanEvent)
}

// The sequence remembers the newest event after it has been trimmed.
const selectEventRange = `SELECT coalesce((SELECT min(seq) FROM events), last + 1), last
	FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) AS last)`

// EventRange implements files.EventReader.
func (t tx) EventRange(ctx context.Context) (first, last int64, err error) {
	err = t.QueryRow(ctx, selectEventRange).Scan(&first, &last)
	return first, last, err
}

// AppendEvent implements files.Outbox.
func (t tx) AppendEvent(ctx context.Context, e files.Event) error {
	return t.Insert(ctx, eventRows, string(e.Kind), string(e.Owner), string(e.File), e.Version, string(e.Link), micros(e.At))
}

// Only the oldest are looked at: the statement costs the same however long the outbox is.
const trimEvents = `DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?2) AND at < ?1`

// TrimEvents implements files.Outbox.
func (t tx) TrimEvents(ctx context.Context, before time.Time, limit int) (int64, error) {
	return t.Exec(ctx, trimEvents, micros(before), limit)
}
