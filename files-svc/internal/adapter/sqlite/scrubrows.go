package sqlite

import (
	"context"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

const selectLiveBlobs = `SELECT ` + blobColumns + ` FROM blobs INDEXED BY blobs_to_verify
	WHERE state = 'live' AND (verified_at, id) > (?1, ?2) AND verified_at <= ?3 ORDER BY verified_at, id LIMIT ?4`

// LiveBlobs implements files.ScrubReader.
func (t tx) LiveBlobs(ctx context.Context, after files.VerifyPlace, until time.Time, limit int) ([]files.Blob, error) {
	rows, err := t.Query(ctx, selectLiveBlobs, micros(after.At), string(after.ID), micros(until), limit)
	return all(rows, err, scanBlob)
}

const selectFlawStats = `SELECT flaw, count(*), sum(size) FROM blobs INDEXED BY blobs_flawed
	WHERE state = 'live' AND flaw <> '' GROUP BY flaw`

// FlawStats implements files.ScrubReader.
func (t tx) FlawStats(ctx context.Context) (map[files.Flaw]files.BlobStat, error) {
	stats := map[files.Flaw]files.BlobStat{}
	rows, err := t.Query(ctx, selectFlawStats)
	_, err = all(rows, err, func(row scanner) (struct{}, error) {
		var flaw files.Flaw
		var stat files.BlobStat
		err := row.Scan(&flaw, &stat.Blobs, &stat.Bytes)
		stats[flaw] = stat
		return struct{}{}, err
	})
	return stats, err
}
