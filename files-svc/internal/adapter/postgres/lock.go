package postgres

import (
	"context"
	"slices"

	"cloakroom.dev/files-svc/internal/files"
)

// Each of these takes the row of an owner and holds it to the end of the transaction: no two transactions work on one
// owner's rows at a time, whatever order they come to them in, so there is no order in which they could block each other.
const (
	ownerOfFile   = `SELECT FROM owners WHERE id = (SELECT owner FROM files WHERE id = $1) FOR UPDATE`
	ownerOfUpload = `SELECT FROM owners WHERE id = (SELECT owner FROM uploads WHERE id = $1) FOR UPDATE`
	ownerOfLink   = `SELECT FROM owners WHERE id = (SELECT owner FROM links WHERE id = $1) FOR UPDATE`
	ownerOfHash   = `SELECT FROM owners WHERE id = (SELECT owner FROM links WHERE hash = $1) FOR UPDATE`
	// What is dying belongs to the reaper, and blobs found without a row to nobody.
	ownerOfBlob = `SELECT FROM owners WHERE id = (SELECT owner FROM blobs WHERE id = $1 AND state IN ('pending', 'live')) FOR UPDATE`

	makeOwner  = `INSERT INTO owners (id) VALUES ($1) ON CONFLICT DO NOTHING`
	lockOwner  = `SELECT FROM owners WHERE id = $1 FOR UPDATE`
	lockOwners = `SELECT FROM owners WHERE id = ANY($1) ORDER BY id FOR UPDATE`
	// An epoch is held by everybody who stores under it, and alone by whoever fences it. It is not its row that is held:
	// the beat writes that, and must never wait behind a stream of uploads.
	shareEpoch = `SELECT pg_advisory_xact_lock_shared(hashtext('cloakroom files epoch'), hashtext($1))`
	fenceEpoch = `SELECT pg_advisory_xact_lock(hashtext('cloakroom files epoch'), hashtext($1))`
)

// lock has a lock taken before the next statement. Snapshots need none.
func (t tx) lock(query string, args ...any) {
	if t.w != nil {
		t.queue(nil, query, args...)
	}
}

// lockOwnersOf takes the rows of all owners of files, in one order for everybody.
func (t tx) lockOwnersOf(ctx context.Context, found []files.File) error {
	ids := make([]string, len(found))
	for i, f := range found {
		ids[i] = string(f.Owner)
	}
	slices.Sort(ids)
	_, err := t.exec(ctx, lockOwners, slices.Compact(ids))
	return err
}
