package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

const (
	selectOwner = `SELECT id, bytes, reserved, files, versions, erased_at FROM owners WHERE id = $1`
	takeOwner   = selectOwner + ` FOR UPDATE`
)

func scanOwner(row pgx.CollectableRow) (o files.Owner, err error) {
	var erased *time.Time
	err = row.Scan(&o.ID, &o.Bytes, &o.Reserved, &o.Files, &o.Versions, &erased)
	o.ErasedAt = timeOf(erased)
	return o, err
}

// Owner implements files.OwnerReader. In a transaction an account that is not there is made, so that there is a row to
// hold: of two first uploads one waits for the other.
func (t tx) Owner(ctx context.Context, id files.OwnerID) (files.Owner, error) {
	query := selectOwner
	if t.w != nil {
		t.queue(nil, makeOwner, string(id))
		query = takeOwner
	}
	o, err := one(ctx, t, scanOwner, query, string(id))
	if errors.Is(err, fault.Of(fault.NotFound)) {
		return files.Owner{ID: id}, nil
	}
	return o, err
}

const saveOwner = `INSERT INTO owners (id, bytes, reserved, files, versions, erased_at) VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes, reserved = excluded.reserved, files = excluded.files,
	versions = excluded.versions, erased_at = excluded.erased_at`

// SaveOwner implements files.OwnerWriter.
func (t tx) SaveOwner(_ context.Context, o files.Owner) error {
	t.queue(nil, saveOwner, string(o.ID), o.Bytes, o.Reserved, o.Files, o.Versions, nullable(o.ErasedAt))
	return nil
}

const selectLogPosition = `SELECT coalesce(max(seq), 0) FROM log_position`

// LogPosition implements files.OwnerReader.
func (t tx) LogPosition(ctx context.Context) (int64, error) {
	return value[int64](ctx, t, selectLogPosition)
}

const saveLogPosition = `INSERT INTO log_position (single, seq) VALUES (true, $1) ON CONFLICT (single) DO UPDATE SET seq = excluded.seq`

// SetLogPosition implements files.OwnerWriter.
func (t tx) SetLogPosition(_ context.Context, seq int64) error {
	t.queue(nil, saveLogPosition, seq)
	return nil
}

const epochColumns = `id, state, beats, settled, changed_at`

func scanEpoch(row pgx.CollectableRow) (e files.Epoch, err error) {
	err = row.Scan(&e.ID, &e.State, &e.Beats, &e.Settled, &e.ChangedAt)
	e.ChangedAt = e.ChangedAt.UTC()
	return e, err
}

const selectEpoch = `SELECT ` + epochColumns + ` FROM epochs WHERE id = $1`

// Epoch implements files.EpochReader. What has been read open stays open until the transaction ends.
func (t tx) Epoch(ctx context.Context, id files.EpochID) (files.Epoch, error) {
	t.lock(shareEpoch, string(id))
	return one(ctx, t, scanEpoch, selectEpoch, string(id))
}

const selectEpochs = `SELECT ` + epochColumns + ` FROM epochs ORDER BY id`

// Epochs implements files.EpochReader.
func (t tx) Epochs(ctx context.Context) ([]files.Epoch, error) {
	return all(ctx, t, scanEpoch, selectEpochs)
}

const insertEpoch = `INSERT INTO epochs (` + epochColumns + `) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`

// InsertEpoch implements files.EpochWriter.
func (t tx) InsertEpoch(ctx context.Context, e files.Epoch) error {
	return t.change(ctx, errConflict(), insertEpoch, string(e.ID), string(e.State), e.Beats, e.Settled, e.ChangedAt)
}

// A fence is only raised over the beats it has seen: a beat that came meanwhile says that the writer lives.
const (
	updateEpoch = `UPDATE epochs SET state = $3, beats = $4, settled = $5, changed_at = $6 WHERE id = $1 AND state = $2`
	fenceUpdate = updateEpoch + ` AND beats <= $4`
)

// UpdateEpoch implements files.EpochWriter.
func (t tx) UpdateEpoch(ctx context.Context, e files.Epoch, from files.EpochState) error {
	query := updateEpoch
	if e.State != from {
		query = fenceUpdate
		t.lock(fenceEpoch, string(e.ID))
	}
	return t.change(ctx, errConflict(), query, string(e.ID), string(from), string(e.State), e.Beats, e.Settled, e.ChangedAt)
}

const deleteEpoch = `DELETE FROM epochs WHERE id = $1`

// DeleteEpoch implements files.EpochWriter.
func (t tx) DeleteEpoch(_ context.Context, id files.EpochID) error {
	t.queue(nil, deleteEpoch, string(id))
	return nil
}
