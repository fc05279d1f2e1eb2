package postgres

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/files"
)

const fileColumns = `id, owner, name, fold, content_type, size, sha256, version, blob, metadata,
	created_at, content_at, updated_at, expires_at, deleted_at, revision`

// fileRow is what is read of a file: its columns, and what is wrong with its bytes.
const fileRow = fileColumns + `, (SELECT flaw FROM blobs WHERE blobs.id = files.blob)`

func scanFile(row pgx.CollectableRow) (files.File, error) {
	var f files.File
	var digest []byte
	var expires, deleted *time.Time
	var flaw *string // a file in the middle of a change may have no blob yet
	err := row.Scan(&f.ID, &f.Owner, &f.Name, &f.Fold, &f.ContentType, &f.Size, &digest, &f.Version, &f.Blob, &f.Metadata,
		&f.CreatedAt, &f.ContentAt, &f.UpdatedAt, &expires, &deleted, &f.Revision, &flaw)
	if err != nil {
		return files.File{}, err
	}
	f.CreatedAt, f.ContentAt, f.UpdatedAt = f.CreatedAt.UTC(), f.ContentAt.UTC(), f.UpdatedAt.UTC()
	f.ExpiresAt, f.DeletedAt = timeOf(expires), timeOf(deleted)
	if flaw != nil {
		f.Flaw = files.Flaw(*flaw)
	}
	f.SHA256, err = digestOf(digest)
	return f, err
}

// metadataText is a file's metadata as JSON; most have none.
func metadataText(m files.Metadata) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(m)
	return string(b), err
}

const selectFile = `SELECT ` + fileRow + ` FROM files WHERE id = $1`

// File implements files.FileReader.
func (t tx) File(ctx context.Context, id files.FileID) (files.File, error) {
	t.lock(ownerOfFile, string(id))
	return one(ctx, t, scanFile, selectFile, string(id))
}

const selectFileNamed = `SELECT EXISTS (
	SELECT FROM files WHERE owner = $1 AND fold = $2 AND name = $3 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $4))`

// FileNamed implements files.FileReader. Names are taken under their owner's lock.
func (t tx) FileNamed(ctx context.Context, owner files.OwnerID, name, fold string, now time.Time) (bool, error) {
	t.lock(lockOwner, string(owner))
	return value[bool](ctx, t, selectFileNamed, string(owner), fold, name, now)
}

const (
	selectExpired = `SELECT ` + fileRow + ` FROM files
	WHERE deleted_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2`

	selectTrashed = `SELECT ` + fileRow + ` FROM files WHERE deleted_at <= $1 ORDER BY deleted_at LIMIT $2`

	// The halves are apart because each has its own index.
	selectOwned = `(SELECT ` + fileRow + ` FROM files WHERE owner = $1 AND deleted_at IS NULL LIMIT $2)
	UNION ALL (SELECT ` + fileRow + ` FROM files WHERE owner = $1 AND deleted_at IS NOT NULL LIMIT $2) LIMIT $2`
)

// DueFiles implements files.FileReader. In a transaction the owners are locked first, all in one order, and then asked
// again: what another process has dealt with meanwhile is not found twice.
func (t tx) DueFiles(ctx context.Context, q files.DueQuery) ([]files.File, error) {
	query, arg := selectOwned, any(string(q.Owner))
	switch {
	case !q.ExpiredBefore.IsZero():
		query, arg = selectExpired, q.ExpiredBefore
	case !q.TrashedBefore.IsZero():
		query, arg = selectTrashed, q.TrashedBefore
	}
	found, err := all(ctx, t, scanFile, query, arg, q.Limit)
	if err != nil || t.w == nil || len(found) == 0 {
		return found, err
	}
	if err := t.lockOwnersOf(ctx, found); err != nil {
		return nil, err
	}
	again, err := all(ctx, t, scanFile, query, arg, q.Limit)
	return slices.DeleteFunc(again, func(f files.File) bool {
		return !slices.ContainsFunc(found, func(g files.File) bool { return g.Owner == f.Owner })
	}), err
}

const (
	selectTrash      = `SELECT ` + fileRow + ` FROM files WHERE owner = $1 AND deleted_at IS NOT NULL`
	selectTrashFirst = selectTrash + ` ORDER BY deleted_at DESC, id DESC LIMIT $2`
	selectTrashAfter = selectTrash + ` AND (deleted_at, id) < ($3, $4) ORDER BY deleted_at DESC, id DESC LIMIT $2`
)

// TrashedFiles implements files.TrashReader.
func (t tx) TrashedFiles(ctx context.Context, owner files.OwnerID, after *files.TrashPlace, limit int) ([]files.File, error) {
	if after == nil {
		return all(ctx, t, scanFile, selectTrashFirst, custom, string(owner), limit)
	}
	return all(ctx, t, scanFile, selectTrashAfter, custom, string(owner), limit, time.UnixMicro(after.Deleted), string(after.ID))
}

const insertFile = `INSERT INTO files (` + fileColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING`

// InsertFile implements files.FileWriter.
func (t tx) InsertFile(_ context.Context, f files.File) error {
	metadata, err := metadataText(f.Metadata)
	if err != nil {
		return err
	}
	t.queue(errConflict(), insertFile, string(f.ID), string(f.Owner), f.Name, f.Fold, f.ContentType, f.Size, f.SHA256[:], f.Version,
		string(f.Blob), metadata, f.CreatedAt, f.ContentAt, f.UpdatedAt, nullable(f.ExpiresAt), nullable(f.DeletedAt), f.Revision)
	return nil
}

const updateFile = `UPDATE files SET name = $3, fold = $4, content_type = $5, size = $6, sha256 = $7, version = $8, blob = $9,
	metadata = $10, content_at = $11, updated_at = $12, expires_at = $13, deleted_at = $14, revision = $15
	WHERE id = $1 AND revision = $2`

// UpdateFile implements files.FileWriter.
func (t tx) UpdateFile(ctx context.Context, f files.File) error {
	metadata, err := metadataText(f.Metadata)
	if err != nil {
		return err
	}
	return t.change(ctx, errConflict(), updateFile, string(f.ID), f.Revision-1, f.Name, f.Fold, f.ContentType, f.Size, f.SHA256[:],
		f.Version, string(f.Blob), metadata, f.ContentAt, f.UpdatedAt, nullable(f.ExpiresAt), nullable(f.DeletedAt), f.Revision)
}

const deleteFile = `DELETE FROM files WHERE id = $1`

// DeleteFile implements files.FileWriter.
func (t tx) DeleteFile(ctx context.Context, id files.FileID) error {
	return t.change(ctx, errNotFound(), deleteFile, string(id))
}

const versionColumns = `file, number, blob, size, sha256, content_type, created_at`

// versionRow is what is read of a version: its columns, and what is wrong with its bytes.
const versionRow = versionColumns + `, (SELECT flaw FROM blobs WHERE blobs.id = versions.blob)`

func scanVersion(row pgx.CollectableRow) (v files.Version, err error) {
	var digest []byte
	if err := row.Scan(&v.File, &v.Number, &v.Blob, &v.Size, &digest, &v.ContentType, &v.CreatedAt, &v.Flaw); err != nil {
		return files.Version{}, err
	}
	v.CreatedAt = v.CreatedAt.UTC()
	v.SHA256, err = digestOf(digest)
	return v, err
}

const selectVersions = `SELECT ` + versionRow + ` FROM versions WHERE file = $1 ORDER BY number DESC`

// Versions implements files.VersionReader.
func (t tx) Versions(ctx context.Context, id files.FileID) ([]files.Version, error) {
	return all(ctx, t, scanVersion, selectVersions, string(id))
}

const selectVersionOf = `SELECT ` + versionRow + ` FROM versions WHERE blob = $1 ORDER BY number DESC LIMIT 1`

// VersionOf implements files.VersionReader.
func (t tx) VersionOf(ctx context.Context, id files.BlobID) (files.Version, error) {
	return one(ctx, t, scanVersion, selectVersionOf, string(id))
}

const insertVersion = `INSERT INTO versions (` + versionColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`

// InsertVersion implements files.VersionWriter.
func (t tx) InsertVersion(_ context.Context, v files.Version) error {
	t.queue(errConflict(), insertVersion, string(v.File), v.Number, string(v.Blob), v.Size, v.SHA256[:], v.ContentType, v.CreatedAt)
	return nil
}

const deleteVersion = `DELETE FROM versions WHERE file = $1 AND number = $2`

// DeleteVersion implements files.VersionWriter.
func (t tx) DeleteVersion(ctx context.Context, id files.FileID, number int64) error {
	return t.change(ctx, errNotFound(), deleteVersion, string(id), number)
}
