package sqlite

import (
	"context"
	"fmt"
	"math"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const auditColumns = `seq, at, actor, action, target, detail, subject, sealed, prev_hash, hash`

func scanAudit(row scanner) (r identity.AuditRow, err error) {
	return r, row.Scan(&r.Seq, moment{&r.At}, &r.Actor, &r.Action, &r.Target, &r.Detail, &r.Subject, &r.Sealed,
		(*column.Digest)(&r.PrevHash), (*column.Digest)(&r.Hash))
}

func (t *transaction) InsertAudit(ctx context.Context, r identity.AuditRow) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO audit (`+auditColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Seq, micros(r.At), r.Actor, r.Action, r.Target, string(r.Detail), r.Subject, blob(r.Sealed), r.PrevHash[:], r.Hash[:])
	return err
}

func (t *transaction) AuditRows(ctx context.Context, after int64, limit int) ([]identity.AuditRow, error) {
	return list(ctx, t, scanAudit, `SELECT `+auditColumns+` FROM audit WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
}

// FindAudit puts the statement together from the parts that are asked for: only then are the indexes of use. The parts
// are constants, so there are few statements.
func (t *transaction) FindAudit(ctx context.Context, f identity.AuditFilter, before int64, limit int) ([]identity.AuditRow, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	query, args := `SELECT `+auditColumns+` FROM audit WHERE seq < ?`, []any{before}
	add := func(wanted bool, part string, values ...any) {
		if wanted {
			query, args = query+part, append(args, values...)
		}
	}
	user := "user:" + f.UserID
	add(f.Actor != "", ` AND actor = ?`, f.Actor)
	add(f.Action != "", ` AND action = ?`, f.Action)
	add(f.Target != "", ` AND target = ?`, f.Target)
	add(f.UserID != "", ` AND (actor = ? OR target = ? OR subject = ?)`, user, user, f.UserID)
	add(!f.Since.IsZero(), ` AND at >= ?`, micros(f.Since))
	add(!f.Until.IsZero(), ` AND at < ?`, micros(f.Until))
	return list(ctx, t, scanAudit, query+` ORDER BY seq DESC LIMIT ?`, append(args, limit)...)
}

const checkpointColumns = `seq, at, hash, key_id, signature`

func scanCheckpoint(row scanner) (c identity.Checkpoint, err error) {
	return c, found("checkpoint", row.Scan(&c.Seq, moment{&c.At}, (*column.Digest)(&c.Hash), &c.KeyID, &c.Signature))
}

func (t *transaction) LastCheckpoint(ctx context.Context) (identity.Checkpoint, error) {
	return scanCheckpoint(t.tx.QueryRow(ctx, `SELECT `+checkpointColumns+` FROM audit_checkpoints ORDER BY seq DESC LIMIT 1`))
}

func (t *transaction) InsertCheckpoint(ctx context.Context, c identity.Checkpoint) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO audit_checkpoints (`+checkpointColumns+`) VALUES (?, ?, ?, ?, ?)`,
		c.Seq, micros(c.At), c.Hash[:], c.KeyID, c.Signature)
	if err != nil {
		return fmt.Errorf("insert checkpoint: %w", err)
	}
	return nil
}

func (t *transaction) Checkpoints(ctx context.Context, after int64, limit int) ([]identity.Checkpoint, error) {
	return list(ctx, t, scanCheckpoint, `SELECT `+checkpointColumns+` FROM audit_checkpoints
		WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
}

func (t *transaction) PersonKey(ctx context.Context, userID string) (key [32]byte, err error) {
	err = t.tx.QueryRow(ctx, `SELECT secret FROM person_keys WHERE user_id = ?`, userID).Scan((*column.Digest)(&key))
	return key, found("person key", err)
}

func (t *transaction) InsertPersonKey(ctx context.Context, userID string, key [32]byte) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO person_keys (user_id, secret) VALUES (?, ?)`, userID, key[:])
	if err != nil {
		return fmt.Errorf("insert person key: %w", err)
	}
	return nil
}
