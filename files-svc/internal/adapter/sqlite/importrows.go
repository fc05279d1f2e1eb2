package sqlite

import (
	"context"

	"cloakroom.dev/files-svc/internal/files"
)

const selectImported = `SELECT source, foreign_id, owner, file, at FROM imported_files WHERE source = ? AND foreign_id = ?`

// Imported implements files.ImportReader.
func (t tx) Imported(ctx context.Context, source, foreignID string) (files.Imported, error) {
	return one(t.QueryRow(ctx, selectImported, source, foreignID), func(row scanner) (i files.Imported, err error) {
		var at int64
		err = row.Scan(&i.Source, &i.ForeignID, &i.Owner, &i.File, &at)
		i.At = timeOf(at)
		return i, err
	})
}

const insertImported = `INSERT INTO imported_files (source, foreign_id, owner, file, at) VALUES (?, ?, ?, ?, ?)`

// InsertImported implements files.ImportWriter.
func (t tx) InsertImported(ctx context.Context, i files.Imported) error {
	return t.insert(ctx, insertImported, i.Source, i.ForeignID, string(i.Owner), string(i.File), micros(i.At))
}

const forgetImported = `DELETE FROM imported_files WHERE (source, foreign_id) IN
	(SELECT source, foreign_id FROM imported_files WHERE owner = ?1 LIMIT ?2)`

// ForgetImported implements files.ImportWriter.
func (t tx) ForgetImported(ctx context.Context, owner files.OwnerID, limit int) (int64, error) {
	return t.Exec(ctx, forgetImported, string(owner), limit)
}
