package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/files"
)

const uploadColumns = `id, owner, state, part, joins, joined_into, name, content_type, metadata, file_expires, new_name, expected, note,
	length, size, sealed, hash, parts, reserved, file, created_at, expires_at, revision`

func scanUpload(row pgx.CollectableRow) (files.Upload, error) {
	var u files.Upload
	var joins []string
	var expected []byte
	var fileExpires *time.Time
	err := row.Scan(&u.ID, &u.Owner, &u.State, &u.Part, &joins, &u.Into, &u.Name, &u.ContentType, &u.Metadata, &fileExpires, &u.NewName,
		&expected, &u.Note, &u.Length, &u.Offset, &u.Sealed, &u.Hash, &u.Parts, &u.Reserved, &u.File, &u.CreatedAt, &u.ExpiresAt, &u.Revision)
	if err != nil {
		return files.Upload{}, err
	}
	u.FileExpires, u.CreatedAt, u.ExpiresAt = timeOf(fileExpires), u.CreatedAt.UTC(), u.ExpiresAt.UTC()
	u.Joins = make([]files.UploadID, len(joins))
	for i, id := range joins {
		u.Joins[i] = files.UploadID(id)
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

const selectUpload = `SELECT ` + uploadColumns + ` FROM uploads WHERE id = $1`

// Upload implements files.UploadReader.
func (t tx) Upload(ctx context.Context, id files.UploadID) (files.Upload, error) {
	t.lock(ownerOfUpload, string(id))
	return one(ctx, t, scanUpload, selectUpload, string(id))
}

const (
	selectOwnedUploads   = `SELECT ` + uploadColumns + ` FROM uploads WHERE owner = $1 AND id > $2 ORDER BY id LIMIT $3`
	selectExpiredUploads = `SELECT ` + uploadColumns + ` FROM uploads WHERE expires_at <= $1 AND id > $2 ORDER BY id LIMIT $3`
)

// DueUploads implements files.UploadReader.
func (t tx) DueUploads(ctx context.Context, q files.DueUploads) ([]files.Upload, error) {
	if q.Owner == "" {
		return all(ctx, t, scanUpload, selectExpiredUploads, custom, q.ExpiredBefore, string(q.After), q.Limit)
	}
	return all(ctx, t, scanUpload, selectOwnedUploads, custom, string(q.Owner), string(q.After), q.Limit)
}

const countOpenUploads = `SELECT count(*) FROM uploads WHERE owner = $1 AND state = 'open'`

// OpenUploads implements files.UploadReader.
func (t tx) OpenUploads(ctx context.Context, owner files.OwnerID) (int64, error) {
	return value[int64](ctx, t, countOpenUploads, string(owner))
}

const selectUploadStats = `SELECT count(*), coalesce(sum(reserved), 0)::bigint FROM uploads WHERE state = 'open'`

// UploadStats implements files.UploadReader.
func (t tx) UploadStats(ctx context.Context) (files.UploadStats, error) {
	return one(ctx, t, func(row pgx.CollectableRow) (s files.UploadStats, err error) {
		err = row.Scan(&s.Open, &s.Reserved)
		return s, err
	}, selectUploadStats)
}

const insertUpload = `INSERT INTO uploads (` + uploadColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) ON CONFLICT DO NOTHING`

// InsertUpload implements files.UploadWriter.
func (t tx) InsertUpload(ctx context.Context, u files.Upload) error {
	metadata, err := metadataText(u.Metadata)
	if err != nil {
		return err
	}
	joins := make([]string, len(u.Joins))
	for i, id := range u.Joins {
		joins[i] = string(id)
	}
	var expected []byte
	if u.Expected != nil {
		expected = u.Expected[:]
	}
	return t.change(ctx, errConflict(), insertUpload, string(u.ID), string(u.Owner), string(u.State), u.Part, joins, string(u.Into), u.Name,
		u.ContentType, metadata, nullable(u.FileExpires), u.NewName, expected, u.Note, u.Length, u.Offset, u.Sealed, u.Hash, u.Parts,
		u.Reserved, string(u.File), u.CreatedAt, u.ExpiresAt, u.Revision)
}

// What an upload was made with stays as it is.
const updateUpload = `UPDATE uploads SET state = $3, joined_into = $4, length = $5, size = $6, sealed = $7, hash = $8, parts = $9,
	reserved = $10, file = $11, expires_at = $12, revision = $13 WHERE id = $1 AND revision = $2`

// UpdateUpload implements files.UploadWriter.
func (t tx) UpdateUpload(ctx context.Context, u files.Upload) error {
	t.lock(ownerOfUpload, string(u.ID)) // a writer that knows its row comes here without having read it
	return t.change(ctx, errConflict(), updateUpload, string(u.ID), u.Revision-1, string(u.State), string(u.Into), u.Length, u.Offset,
		u.Sealed, u.Hash, u.Parts, u.Reserved, string(u.File), u.ExpiresAt, u.Revision)
}

const deleteUpload = `DELETE FROM uploads WHERE id = $1`

// DeleteUpload implements files.UploadWriter.
func (t tx) DeleteUpload(ctx context.Context, id files.UploadID) error {
	return t.change(ctx, errNotFound(), deleteUpload, string(id))
}
