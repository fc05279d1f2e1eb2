package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

const blobColumns = `id, owner, state, size, sha256, reserved, changed_at, verified_at, flaw`

func scanBlob(row scanner) (files.Blob, error) {
	var b files.Blob
	var digest []byte
	var changed, verified int64
	if err := row.Scan(&b.ID, &b.Owner, &b.State, &b.Size, &digest, &b.Reserved, &changed, &verified, &b.Flaw); err != nil {
		return files.Blob{}, err
	}
	var err error
	b.ChangedAt, b.VerifiedAt = timeOf(changed), timeOf(verified)
	b.SHA256, err = digestOf(digest)
	return b, err
}

const selectBlob = `SELECT ` + blobColumns + ` FROM blobs WHERE id = ?`

// Blob implements files.BlobReader.
func (t tx) Blob(ctx context.Context, id files.BlobID) (files.Blob, error) {
	return one(t.QueryRow(ctx, selectBlob, string(id)), scanBlob)
}

const selectKnownBlobs = `SELECT id FROM blobs WHERE id IN (SELECT value FROM json_each(?))`

// KnownBlobs implements files.BlobReader.
func (t tx) KnownBlobs(ctx context.Context, ids []files.BlobID) (map[files.BlobID]bool, error) {
	asked, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	known := make(map[files.BlobID]bool, len(ids))
	rows, err := t.Query(ctx, selectKnownBlobs, string(asked))
	_, err = all(rows, err, func(row scanner) (id files.BlobID, err error) {
		err = row.Scan(&id)
		known[id] = true
		return id, err
	})
	return known, err
}

const selectBlobsIn = `SELECT ` + blobColumns + ` FROM blobs INDEXED BY blobs_dying
	WHERE state = ?1 AND state IN ('dead', 'deleting', 'tombstone') AND changed_at <= ?2 ORDER BY changed_at, id LIMIT ?3`

// BlobsIn implements files.BlobReader.
func (t tx) BlobsIn(ctx context.Context, state files.BlobState, since time.Time, limit int) ([]files.Blob, error) {
	rows, err := t.Query(ctx, selectBlobsIn, string(state), micros(since), limit)
	return all(rows, err, scanBlob)
}

// The ids of an epoch are those between its name with a dot and its name with the next character.
const selectPendingBlobs = `SELECT ` + blobColumns + ` FROM blobs INDEXED BY blobs_pending
	WHERE state = 'pending' AND id > ?1 || '.' AND id < ?1 || '/' ORDER BY id LIMIT ?2`

// PendingBlobs implements files.BlobReader.
func (t tx) PendingBlobs(ctx context.Context, epoch files.EpochID, limit int) ([]files.Blob, error) {
	rows, err := t.Query(ctx, selectPendingBlobs, string(epoch), limit)
	return all(rows, err, scanBlob)
}

const selectEpochHasBlobs = `SELECT EXISTS (SELECT 1 FROM blobs WHERE id > ?1 || '.' AND id < ?1 || '/')`

// EpochHasBlobs implements files.BlobReader.
func (t tx) EpochHasBlobs(ctx context.Context, epoch files.EpochID) (found bool, err error) {
	err = t.QueryRow(ctx, selectEpochHasBlobs, string(epoch)).Scan(&found)
	return found, err
}

// Living blobs are counted by their owners' sums, so that a pass of the reaper does not read every row.
const selectBlobStats = `
	SELECT 'live', coalesce(sum(versions), 0), coalesce(sum(bytes), 0) FROM owners
	UNION ALL
	SELECT 'pending', count(*), coalesce(sum(reserved), 0) FROM blobs INDEXED BY blobs_pending WHERE state = 'pending'
	UNION ALL
	SELECT state, count(*), sum(size) FROM blobs INDEXED BY blobs_dying WHERE state IN ('dead', 'deleting', 'tombstone') GROUP BY state`

// BlobStats implements files.BlobReader.
func (t tx) BlobStats(ctx context.Context) (map[files.BlobState]files.BlobStat, error) {
	type line struct {
		state files.BlobState
		stat  files.BlobStat
	}
	rows, err := t.Query(ctx, selectBlobStats)
	lines, err := all(rows, err, func(row scanner) (l line, err error) {
		err = row.Scan(&l.state, &l.stat.Blobs, &l.stat.Bytes)
		return l, err
	})
	if err != nil {
		return nil, err
	}
	stats := make(map[files.BlobState]files.BlobStat, len(lines))
	for _, l := range lines {
		if l.stat.Blobs > 0 {
			stats[l.state] = l.stat
		}
	}
	return stats, nil
}

// InsertBlob implements files.BlobWriter.
func (t tx) InsertBlob(ctx context.Context, b files.Blob) error {
	return t.add(ctx, blobRows, string(b.ID), string(b.Owner), string(b.State), b.Size, b.SHA256[:], b.Reserved, micros(b.ChangedAt),
		micros(b.VerifiedAt), string(b.Flaw))
}

const updateBlob = `UPDATE blobs SET owner = ?, state = ?, size = ?, sha256 = ?, reserved = ?, changed_at = ?,
	verified_at = ?, flaw = ? WHERE id = ? AND state = ?`

// UpdateBlob implements files.BlobWriter.
func (t tx) UpdateBlob(ctx context.Context, b files.Blob, from files.BlobState) error {
	return t.change(ctx, errConflict(), updateBlob, string(b.Owner), string(b.State), b.Size, b.SHA256[:], b.Reserved, micros(b.ChangedAt),
		micros(b.VerifiedAt), string(b.Flaw), string(b.ID), string(from))
}

const deleteBlob = `DELETE FROM blobs WHERE id = ?1 AND state = ?2 AND NOT EXISTS (SELECT 1 FROM versions WHERE blob = ?1)`

// DeleteBlob implements files.BlobWriter.
func (t tx) DeleteBlob(ctx context.Context, id files.BlobID, from files.BlobState) error {
	return t.change(ctx, errConflict(), deleteBlob, string(id), string(from))
}
