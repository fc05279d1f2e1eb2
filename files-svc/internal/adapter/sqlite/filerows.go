package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

const fileColumns = `id, owner, name, fold, content_type, size, sha256, version, blob, metadata,
	created_at, content_at, updated_at, expires_at, deleted_at, revision`

// fileRow is what is read of a file: its columns, and what is wrong with its bytes.
const fileRow = fileColumns + `, (SELECT flaw FROM blobs WHERE blobs.id = files.blob)`

func scanFile(row scanner) (files.File, error) {
	var f files.File
	var digest, metadata []byte
	var created, content, updated, expires, deleted int64
	var flaw sql.NullString // a file in the middle of a change may have no blob yet
	err := row.Scan(&f.ID, &f.Owner, &f.Name, &f.Fold, &f.ContentType, &f.Size, &digest, &f.Version, &f.Blob, &metadata,
		&created, &content, &updated, &expires, &deleted, &f.Revision, &flaw)
	if err != nil {
		return files.File{}, err
	}
	f.CreatedAt, f.ContentAt, f.UpdatedAt = timeOf(created), timeOf(content), timeOf(updated)
	f.ExpiresAt, f.DeletedAt, f.Flaw = timeOf(expires), timeOf(deleted), files.Flaw(flaw.String)
	if err := json.Unmarshal(metadata, &f.Metadata); err != nil {
		return files.File{}, fmt.Errorf("metadata of file %s: %w", f.ID, err)
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

const selectFile = `SELECT ` + fileRow + ` FROM files WHERE id = ?`

// File implements files.FileReader.
func (t tx) File(ctx context.Context, id files.FileID) (files.File, error) {
	return one(t.QueryRow(ctx, selectFile, string(id)), scanFile)
}

const selectFileNamed = `SELECT EXISTS (
	SELECT 1 FROM files INDEXED BY files_by_name
	WHERE owner = ?1 AND fold = ?2 AND name = ?3 AND deleted_at = 0 AND (expires_at = 0 OR expires_at > ?4))`

// FileNamed implements files.FileReader.
func (t tx) FileNamed(ctx context.Context, owner files.OwnerID, name, fold string, now time.Time) (bool, error) {
	var found bool
	err := t.QueryRow(ctx, selectFileNamed, string(owner), fold, name, micros(now)).Scan(&found)
	return found, err
}

const selectExpired = `SELECT ` + fileRow + ` FROM files
	WHERE deleted_at = 0 AND expires_at <> 0 AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2`

const selectTrashed = `SELECT ` + fileRow + ` FROM files
	WHERE deleted_at <> 0 AND deleted_at <= ?1 ORDER BY deleted_at LIMIT ?2`

// The halves are apart because each has its own index.
const selectOwned = `SELECT * FROM (SELECT ` + fileRow + ` FROM files WHERE owner = ?1 AND deleted_at = 0 LIMIT ?2)
	UNION ALL
	SELECT * FROM (SELECT ` + fileRow + ` FROM files WHERE owner = ?1 AND deleted_at <> 0 LIMIT ?2) LIMIT ?2`

// DueFiles implements files.FileReader.
func (t tx) DueFiles(ctx context.Context, q files.DueQuery) ([]files.File, error) {
	query, arg := selectOwned, any(string(q.Owner))
	switch {
	case !q.ExpiredBefore.IsZero():
		query, arg = selectExpired, micros(q.ExpiredBefore)
	case !q.TrashedBefore.IsZero():
		query, arg = selectTrashed, micros(q.TrashedBefore)
	}
	rows, err := t.Query(ctx, query, arg, q.Limit)
	return all(rows, err, scanFile)
}

// A place that is after everything begins the list.
const selectTrash = `SELECT ` + fileRow + ` FROM files INDEXED BY files_in_trash
	WHERE owner = ?1 AND deleted_at <> 0 AND (deleted_at, id) < (?2, ?3) ORDER BY deleted_at DESC, id DESC LIMIT ?4`

// TrashedFiles implements files.TrashReader.
func (t tx) TrashedFiles(ctx context.Context, owner files.OwnerID, after *files.TrashPlace, limit int) ([]files.File, error) {
	place := files.TrashPlace{Deleted: math.MaxInt64}
	if after != nil {
		place = *after
	}
	rows, err := t.Query(ctx, selectTrash, string(owner), place.Deleted, string(place.ID), limit)
	return all(rows, err, scanFile)
}

// InsertFile implements files.FileWriter.
func (t tx) InsertFile(ctx context.Context, f files.File) error {
	metadata, err := metadataText(f.Metadata)
	if err != nil {
		return err
	}
	return t.add(ctx, fileRows, string(f.ID), string(f.Owner), f.Name, f.Fold, f.ContentType, f.Size, f.SHA256[:], f.Version,
		string(f.Blob), metadata, micros(f.CreatedAt), micros(f.ContentAt), micros(f.UpdatedAt), micros(f.ExpiresAt),
		micros(f.DeletedAt), f.Revision)
}

const updateFile = `UPDATE files SET name = ?, fold = ?, content_type = ?, size = ?, sha256 = ?, version = ?, blob = ?, metadata = ?,
	content_at = ?, updated_at = ?, expires_at = ?, deleted_at = ?, revision = ? WHERE id = ? AND revision = ?`

// UpdateFile implements files.FileWriter.
func (t tx) UpdateFile(ctx context.Context, f files.File) error {
	metadata, err := metadataText(f.Metadata)
	if err != nil {
		return err
	}
	return t.change(ctx, errConflict(), updateFile, f.Name, f.Fold, f.ContentType, f.Size, f.SHA256[:], f.Version, string(f.Blob),
		metadata, micros(f.ContentAt), micros(f.UpdatedAt), micros(f.ExpiresAt), micros(f.DeletedAt), f.Revision,
		string(f.ID), f.Revision-1)
}

const deleteFile = `DELETE FROM files WHERE id = ?`

// DeleteFile implements files.FileWriter.
func (t tx) DeleteFile(ctx context.Context, id files.FileID) error {
	return t.change(ctx, errNotFound(), deleteFile, string(id))
}

const versionColumns = `file, number, blob, size, sha256, content_type, created_at`

// versionRow is what is read of a version: its columns, and what is wrong with its bytes.
const versionRow = versionColumns + `, (SELECT flaw FROM blobs WHERE blobs.id = versions.blob)`

func scanVersion(row scanner) (files.Version, error) {
	var v files.Version
	var digest []byte
	var created int64
	if err := row.Scan(&v.File, &v.Number, &v.Blob, &v.Size, &digest, &v.ContentType, &created, &v.Flaw); err != nil {
		return files.Version{}, err
	}
	var err error
	v.CreatedAt = timeOf(created)
	v.SHA256, err = digestOf(digest)
	return v, err
}

const selectVersions = `SELECT ` + versionRow + ` FROM versions WHERE file = ? ORDER BY number DESC`

// Versions implements files.VersionReader.
func (t tx) Versions(ctx context.Context, id files.FileID) ([]files.Version, error) {
	rows, err := t.Query(ctx, selectVersions, string(id))
	return all(rows, err, scanVersion)
}

// The versions of a blob are of one file: this is the order of the index.
const selectVersionOf = `SELECT ` + versionRow + ` FROM versions WHERE blob = ? ORDER BY file DESC, number DESC LIMIT 1`

// VersionOf implements files.VersionReader.
func (t tx) VersionOf(ctx context.Context, id files.BlobID) (files.Version, error) {
	return one(t.QueryRow(ctx, selectVersionOf, string(id)), scanVersion)
}

// InsertVersion implements files.VersionWriter.
func (t tx) InsertVersion(ctx context.Context, v files.Version) error {
	return t.add(ctx, versionRows, string(v.File), v.Number, string(v.Blob), v.Size, v.SHA256[:], v.ContentType, micros(v.CreatedAt))
}

const deleteVersion = `DELETE FROM versions WHERE file = ? AND number = ?`

// DeleteVersion implements files.VersionWriter.
func (t tx) DeleteVersion(ctx context.Context, id files.FileID, number int64) error {
	return t.change(ctx, errNotFound(), deleteVersion, string(id), number)
}
