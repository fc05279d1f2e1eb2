package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/files-svc/internal/files"
)

const selectImported = `SELECT source, foreign_id, owner, file, at FROM imported_files WHERE source = $1 AND foreign_id = $2`

// Imported implements files.ImportReader.
func (t tx) Imported(ctx context.Context, source, foreignID string) (files.Imported, error) {
	return one(ctx, t, func(row pgx.CollectableRow) (i files.Imported, err error) {
		err = row.Scan(&i.Source, &i.ForeignID, &i.Owner, &i.File, &i.At)
		i.At = i.At.UTC()
		return i, err
	}, selectImported, source, foreignID)
}

const insertImported = `INSERT INTO imported_files (source, foreign_id, owner, file, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`

// InsertImported implements files.ImportWriter. Of two at once the second waits for the first, and finds it.
func (t tx) InsertImported(ctx context.Context, i files.Imported) error {
	return t.change(ctx, errConflict(), insertImported, i.Source, i.ForeignID, string(i.Owner), string(i.File), i.At)
}

const forgetImported = `DELETE FROM imported_files WHERE (source, foreign_id) IN
	(SELECT source, foreign_id FROM imported_files WHERE owner = $1 LIMIT $2)`

// ForgetImported implements files.ImportWriter.
func (t tx) ForgetImported(ctx context.Context, owner files.OwnerID, limit int) (int64, error) {
	return t.exec(ctx, forgetImported, string(owner), limit)
}
