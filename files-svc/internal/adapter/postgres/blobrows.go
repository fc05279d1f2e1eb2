package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"cloakroom.dev/files-svc/internal/files"
)

const blobColumns = `id, owner, state, size, sha256, reserved, changed_at, verified_at, flaw`

func scanBlob(row pgx.CollectableRow) (b files.Blob, err error) {
	var digest []byte
	var checked pgtype.Timestamptz
	if err := row.Scan(&b.ID, &b.Owner, &b.State, &b.Size, &digest, &b.Reserved, &b.ChangedAt, &checked, &b.Flaw); err != nil {
		return files.Blob{}, err
	}
	b.ChangedAt, b.VerifiedAt = b.ChangedAt.UTC(), verifiedAt(checked)
	b.SHA256, err = digestOf(digest)
	return b, err
}

const (
	selectBlob = `SELECT ` + blobColumns + ` FROM blobs WHERE id = $1`
	takeBlob   = selectBlob + ` FOR UPDATE`
)

// Blob implements files.BlobReader.
func (t tx) Blob(ctx context.Context, id files.BlobID) (files.Blob, error) {
	if t.w == nil {
		return one(ctx, t, scanBlob, selectBlob, string(id))
	}
	t.lock(ownerOfBlob, string(id))
	return one(ctx, t, scanBlob, takeBlob, string(id))
}

const selectKnownBlobs = `SELECT id FROM blobs WHERE id = ANY($1)`

// KnownBlobs implements files.BlobReader.
func (t tx) KnownBlobs(ctx context.Context, ids []files.BlobID) (map[files.BlobID]bool, error) {
	known := make(map[files.BlobID]bool, len(ids))
	_, err := all(ctx, t, func(row pgx.CollectableRow) (id files.BlobID, err error) {
		err = row.Scan(&id)
		known[id] = true
		return id, err
	}, selectKnownBlobs, ids)
	return known, err
}

// The planner is told the state in so many words, or it would not see that the index has all such rows. Reapers of several
// processes share the rows: nobody waits for those another has in hand.
const (
	selectBlobsIn = `SELECT ` + blobColumns + ` FROM blobs
	WHERE state = $1 AND state IN ('dead', 'deleting', 'tombstone') AND changed_at <= $2 ORDER BY changed_at, id LIMIT $3`
	takeBlobsIn = selectBlobsIn + ` FOR UPDATE SKIP LOCKED`
)

// BlobsIn implements files.BlobReader.
func (t tx) BlobsIn(ctx context.Context, state files.BlobState, since time.Time, limit int) ([]files.Blob, error) {
	query := selectBlobsIn
	if t.w != nil {
		query = takeBlobsIn
	}
	return all(ctx, t, scanBlob, query, custom, string(state), since, limit)
}

// The ids of an epoch are those between its name with a dot and its name with the next character.
const selectPendingBlobs = `SELECT ` + blobColumns + ` FROM blobs
	WHERE state = 'pending' AND id > $1 || '.' AND id < $1 || '/' ORDER BY id LIMIT $2`

// PendingBlobs implements files.BlobReader.
func (t tx) PendingBlobs(ctx context.Context, epoch files.EpochID, limit int) ([]files.Blob, error) {
	return all(ctx, t, scanBlob, selectPendingBlobs, custom, string(epoch), limit)
}

const selectEpochHasBlobs = `SELECT EXISTS (SELECT FROM blobs WHERE id > $1 || '.' AND id < $1 || '/')`

// EpochHasBlobs implements files.BlobReader.
func (t tx) EpochHasBlobs(ctx context.Context, epoch files.EpochID) (found bool, err error) {
	return value[bool](ctx, t, selectEpochHasBlobs, custom, string(epoch))
}

// Living blobs are counted by their owners' sums, so that a pass of the reaper does not read every row.
const selectBlobStats = `
	SELECT 'live', coalesce(sum(versions), 0)::bigint, coalesce(sum(bytes), 0)::bigint FROM owners
	UNION ALL
	SELECT 'pending', count(*), coalesce(sum(reserved), 0)::bigint FROM blobs WHERE state = 'pending'
	UNION ALL
	SELECT state, count(*), sum(size)::bigint FROM blobs WHERE state IN ('dead', 'deleting', 'tombstone') GROUP BY state`

// BlobStats implements files.BlobReader.
func (t tx) BlobStats(ctx context.Context) (map[files.BlobState]files.BlobStat, error) {
	stats := map[files.BlobState]files.BlobStat{}
	_, err := all(ctx, t, func(row pgx.CollectableRow) (struct{}, error) {
		var state files.BlobState
		var stat files.BlobStat
		err := row.Scan(&state, &stat.Blobs, &stat.Bytes)
		if stat.Blobs > 0 {
			stats[state] = stat
		}
		return struct{}{}, err
	}, selectBlobStats)
	return stats, err
}

const insertBlob = `INSERT INTO blobs (` + blobColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`

// InsertBlob implements files.BlobWriter.
func (t tx) InsertBlob(ctx context.Context, b files.Blob) error {
	return t.change(ctx, errConflict(), insertBlob, string(b.ID), string(b.Owner), string(b.State), b.Size, b.SHA256[:], b.Reserved,
		b.ChangedAt, verified(b.VerifiedAt), string(b.Flaw))
}

const updateBlob = `UPDATE blobs SET owner = $3, state = $4, size = $5, sha256 = $6, reserved = $7, changed_at = $8,
	verified_at = $9, flaw = $10 WHERE id = $1 AND state = $2`

// UpdateBlob implements files.BlobWriter.
func (t tx) UpdateBlob(ctx context.Context, b files.Blob, from files.BlobState) error {
	return t.change(ctx, errConflict(), updateBlob, string(b.ID), string(from), string(b.Owner), string(b.State), b.Size, b.SHA256[:],
		b.Reserved, b.ChangedAt, verified(b.VerifiedAt), string(b.Flaw))
}

const deleteBlob = `DELETE FROM blobs WHERE id = $1 AND state = $2 AND NOT EXISTS (SELECT FROM versions WHERE blob = $1)`

// DeleteBlob implements files.BlobWriter.
func (t tx) DeleteBlob(ctx context.Context, id files.BlobID, from files.BlobState) error {
	return t.change(ctx, errConflict(), deleteBlob, string(id), string(from))
}

const selectLiveBlobs = `SELECT ` + blobColumns + ` FROM blobs
	WHERE state = 'live' AND (verified_at, id) > ($1, $2) AND verified_at <= $3 ORDER BY verified_at, id LIMIT $4`

// LiveBlobs implements files.ScrubReader.
func (t tx) LiveBlobs(ctx context.Context, after files.VerifyPlace, until time.Time, limit int) ([]files.Blob, error) {
	return all(ctx, t, scanBlob, selectLiveBlobs, custom, verified(after.At), string(after.ID), until, limit)
}

const selectFlawStats = `SELECT flaw, count(*), sum(size)::bigint FROM blobs WHERE state = 'live' AND flaw <> '' GROUP BY flaw`

// FlawStats implements files.ScrubReader.
func (t tx) FlawStats(ctx context.Context) (map[files.Flaw]files.BlobStat, error) {
	stats := map[files.Flaw]files.BlobStat{}
	_, err := all(ctx, t, func(row pgx.CollectableRow) (struct{}, error) {
		var flaw files.Flaw
		var stat files.BlobStat
		err := row.Scan(&flaw, &stat.Blobs, &stat.Bytes)
		stats[flaw] = stat
		return struct{}{}, err
	}, selectFlawStats)
	return stats, err
}
