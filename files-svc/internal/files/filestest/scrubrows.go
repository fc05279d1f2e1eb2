package filestest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

func (s *state) LiveBlobs(_ context.Context, after files.VerifyPlace, until time.Time, limit int) ([]files.Blob, error) {
	order := func(a, b files.Blob) int {
		return cmp.Or(a.VerifiedAt.Compare(b.VerifiedAt), strings.Compare(string(a.ID), string(b.ID)))
	}
	var found []files.Blob
	for _, b := range s.blobs {
		behind := order(b, files.Blob{VerifiedAt: after.At, ID: after.ID}) > 0
		if b.State == files.BlobLive && behind && !b.VerifiedAt.After(until) {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, order)
	return found[:min(limit, len(found))], nil
}

func (s *state) FlawStats(context.Context) (map[files.Flaw]files.BlobStat, error) {
	stats := map[files.Flaw]files.BlobStat{}
	for _, b := range s.blobs {
		if b.State == files.BlobLive && b.Flaw != files.FlawNone {
			stat := stats[b.Flaw]
			stats[b.Flaw] = files.BlobStat{Blobs: stat.Blobs + 1, Bytes: stat.Bytes + b.Size}
		}
	}
	return stats, nil
}
