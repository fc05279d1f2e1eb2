package sqlite

import (
	"context"
	"fmt"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

func (t *transaction) ForeignPerson(ctx context.Context, source, foreignID string) (userID string, err error) {
	err = t.tx.QueryRow(ctx, `SELECT user_id FROM foreign_ids WHERE source = ? AND foreign_id = ?`, source, foreignID).Scan(&userID)
	return userID, found("foreign id", err)
}

func (t *transaction) InsertForeignID(ctx context.Context, f identity.ForeignID) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO foreign_ids (source, foreign_id, user_id) VALUES (?, ?, ?)`, f.Source, f.ID, f.UserID)
	if err != nil {
		return fmt.Errorf("insert foreign id: %w", err)
	}
	return nil
}

func (t *transaction) ForeignIDsOf(ctx context.Context, userID string) ([]identity.ForeignID, error) {
	return list(ctx, t, func(row scanner) (f identity.ForeignID, err error) {
		return f, row.Scan(&f.UserID, &f.Source, &f.ID)
	}, `SELECT user_id, source, foreign_id FROM foreign_ids WHERE user_id = ? ORDER BY source, foreign_id`, userID)
}

const selectForeignIDs = `SELECT user_id, source, foreign_id FROM foreign_ids WHERE source = ? AND foreign_id > ? ORDER BY foreign_id LIMIT ?`

func (t *transaction) ForeignIDs(ctx context.Context, source, after string, limit int) ([]identity.ForeignID, error) {
	return list(ctx, t, func(row scanner) (f identity.ForeignID, err error) {
		return f, row.Scan(&f.UserID, &f.Source, &f.ID)
	}, selectForeignIDs, source, after, limit)
}

const selectImport = `
	SELECT source, version, lines, bytes, digest, created, present, skipped, refused, last_refused, updated_at
	FROM imports WHERE source = ?`

func (t *transaction) ImportState(ctx context.Context, source string) (s identity.ImportState, err error) {
	var last []byte
	c, n := &s.Cursor, &s.Counts
	err = t.tx.QueryRow(ctx, selectImport, source).Scan(&s.Source, &s.Version, &c.Lines, &c.Bytes, (*column.Digest)(&c.Digest),
		&n.Created, &n.Present, &n.Skipped, &n.Refused, &last, moment{&s.UpdatedAt})
	if err != nil {
		return s, found("import", err)
	}
	s.Refused, err = identity.UnmarshalRefusals(last)
	return s, err
}

const putImport = `
	INSERT INTO imports (source, version, lines, bytes, digest, created, present, skipped, refused, last_refused, updated_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (source) DO UPDATE SET version = excluded.version, lines = excluded.lines, bytes = excluded.bytes,
		digest = excluded.digest, created = excluded.created, present = excluded.present, skipped = excluded.skipped,
		refused = excluded.refused, last_refused = excluded.last_refused, updated_at = excluded.updated_at`

func (t *transaction) PutImportState(ctx context.Context, s identity.ImportState) error {
	last, err := identity.MarshalRefusals(s.Refused)
	if err != nil {
		return err
	}
	c, n := s.Cursor, s.Counts
	_, err = t.tx.Exec(ctx, putImport, s.Source, s.Version, c.Lines, c.Bytes, c.Digest[:], n.Created, n.Present, n.Skipped,
		n.Refused, last, micros(s.UpdatedAt))
	if err != nil {
		return fmt.Errorf("put import: %w", err)
	}
	return nil
}

// selectKinds steps from one kind to the next through the index: as many steps as there are kinds, not people.
const selectKinds = `
	WITH RECURSIVE kinds (kind) AS (
		SELECT min(hash_kind) FROM users WHERE hash_kind > ''
		UNION ALL
		SELECT (SELECT min(hash_kind) FROM users WHERE hash_kind > kinds.kind) FROM kinds WHERE kinds.kind IS NOT NULL
	)
	SELECT kind FROM kinds WHERE kind IS NOT NULL ORDER BY kind LIMIT ?`

func (t *transaction) HashKinds(ctx context.Context, limit int) ([]string, error) {
	return list(ctx, t, func(row scanner) (kind string, err error) { return kind, row.Scan(&kind) }, selectKinds, limit)
}
