package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"cloakroom.dev/files-svc/internal/files"
)

const uploadColumns = `id, owner, state, part, joins, joined_into, name, content_type, metadata, file_expires, new_name, expected, note,
	length, size, sealed, hash, parts, reserved, file, created_at, expires_at, revision`

func scanUpload(row scanner) (files.Upload, error) {
	var u files.Upload
	var joins, metadata, expected []byte
	var fileExpires, created, expires int64
	err := row.Scan(&u.ID, &u.Owner, &u.State, &u.Part, &joins, &u.Into, &u.Name, &u.ContentType, &metadata, &fileExpires, &u.NewName,
		&expected, &u.Note, &u.Length, &u.Offset, &u.Sealed, &u.Hash, &u.Parts, &u.Reserved, &u.File, &created, &expires, &u.Revision)
	if err != nil {
		return files.Upload{}, err
	}
	u.FileExpires, u.CreatedAt, u.ExpiresAt = timeOf(fileExpires), timeOf(created), timeOf(expires)
	if err := json.Unmarshal(joins, &u.Joins); err != nil {
		return files.Upload{}, fmt.Errorf("parts of upload %s: %w", u.ID, err)
	}
	if err := json.Unmarshal(metadata, &u.Metadata); err != nil {
		return files.Upload{}, fmt.Errorf("metadata of upload %s: %w", u.ID, err)
	}
	if expected != nil {
		digest, err := digestOf(expected)
		if err != nil {
			return files.Upload{}, err
		}
		u.Expected = &digest
	}
	return u, nil
}

// uploadTexts are the columns of an upload that hold JSON, and its digest.
func uploadTexts(u files.Upload) (joins, metadata string, expected []byte, err error) {
	if metadata, err = metadataText(u.Metadata); err != nil {
		return "", "", nil, err
	}
	raw, err := json.Marshal(append([]files.UploadID{}, u.Joins...))
	if u.Expected != nil {
		expected = u.Expected[:]
	}
	return string(raw), metadata, expected, err
}

const selectUpload = `SELECT ` + uploadColumns + ` FROM uploads WHERE id = ?`

// Upload implements files.UploadReader.
func (t tx) Upload(ctx context.Context, id files.UploadID) (files.Upload, error) {
	return one(t.QueryRow(ctx, selectUpload, string(id)), scanUpload)
}

const selectOwnedUploads = `SELECT ` + uploadColumns + ` FROM uploads INDEXED BY uploads_by_owner
	WHERE owner = ?1 AND id > ?2 ORDER BY id LIMIT ?3`

const selectExpiredUploads = `SELECT ` + uploadColumns + ` FROM uploads INDEXED BY uploads_expiring
	WHERE expires_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3`

// DueUploads implements files.UploadReader.
func (t tx) DueUploads(ctx context.Context, q files.DueUploads) ([]files.Upload, error) {
	query, arg := selectOwnedUploads, any(string(q.Owner))
	if q.Owner == "" {
		query, arg = selectExpiredUploads, micros(q.ExpiredBefore)
	}
	rows, err := t.Query(ctx, query, arg, string(q.After), q.Limit)
	return all(rows, err, scanUpload)
}

const countOpenUploads = `SELECT count(*) FROM uploads INDEXED BY uploads_open WHERE owner = ? AND state = 'open'`

// OpenUploads implements files.UploadReader.
func (t tx) OpenUploads(ctx context.Context, owner files.OwnerID) (n int64, err error) {
	err = t.QueryRow(ctx, countOpenUploads, string(owner)).Scan(&n)
	return n, err
}

const selectUploadStats = `SELECT count(*), coalesce(sum(reserved), 0) FROM uploads WHERE state = 'open'`

// UploadStats implements files.UploadReader.
func (t tx) UploadStats(ctx context.Context) (s files.UploadStats, err error) {
	err = t.QueryRow(ctx, selectUploadStats).Scan(&s.Open, &s.Reserved)
	return s, err
}

const insertUpload = `INSERT INTO uploads (` + uploadColumns + `)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// InsertUpload implements files.UploadWriter.
func (t tx) InsertUpload(ctx context.Context, u files.Upload) error {
	joins, metadata, expected, err := uploadTexts(u)
	if err != nil {
		return err
	}
	return t.insert(ctx, insertUpload, string(u.ID), string(u.Owner), string(u.State), u.Part, joins, string(u.Into), u.Name,
		u.ContentType, metadata, micros(u.FileExpires), u.NewName, expected, u.Note, u.Length, u.Offset, u.Sealed, u.Hash, u.Parts,
		u.Reserved, string(u.File), micros(u.CreatedAt), micros(u.ExpiresAt), u.Revision)
}

// What an upload was made with stays as it is.
const updateUpload = `UPDATE uploads SET state = ?, joined_into = ?, length = ?, size = ?, sealed = ?, hash = ?, parts = ?, reserved = ?, file = ?,
	expires_at = ?, revision = ? WHERE id = ? AND revision = ?`

// UpdateUpload implements files.UploadWriter.
func (t tx) UpdateUpload(ctx context.Context, u files.Upload) error {
	return t.change(ctx, errConflict(), updateUpload, string(u.State), string(u.Into), u.Length, u.Offset, u.Sealed, u.Hash, u.Parts,
		u.Reserved, string(u.File), micros(u.ExpiresAt), u.Revision, string(u.ID), u.Revision-1)
}

const deleteUpload = `DELETE FROM uploads WHERE id = ?`

// DeleteUpload implements files.UploadWriter.
func (t tx) DeleteUpload(ctx context.Context, id files.UploadID) error {
	return t.change(ctx, errNotFound(), deleteUpload, string(id))
}
