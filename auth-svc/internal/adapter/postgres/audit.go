package postgres

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"cloakroom.dev/libs/postgres"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const auditColumns = `seq, at, actor, action, target, detail, subject, sealed, prev_hash, hash`

func scanAudit(row scanner) (r identity.AuditRow, err error) {
	var detail string
	err = row.Scan(&r.Seq, moment{&r.At}, &r.Actor, &r.Action, &r.Target, &detail, &r.Subject, &r.Sealed,
		(*column.Digest)(&r.PrevHash), (*column.Digest)(&r.Hash))
	r.Detail = []byte(detail)
	return r, err
}

func (t *transaction) InsertAudit(ctx context.Context, r identity.AuditRow) error {
	_, err := t.exec(ctx, `INSERT INTO audit (`+auditColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		r.Seq, at(r.At), r.Actor, r.Action, r.Target, string(r.Detail), r.Subject, bytesOf(r.Sealed), r.PrevHash[:], r.Hash[:])
	return err
}

func (t *transaction) AuditRows(ctx context.Context, after int64, limit int) ([]identity.AuditRow, error) {
	return list(ctx, t, scanAudit, `SELECT `+auditColumns+` FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
}

// FindAudit puts the statement together from the parts that are asked for: only then are the indexes of use.
func (t *transaction) FindAudit(ctx context.Context, f identity.AuditFilter, before int64, limit int) ([]identity.AuditRow, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	user := "user:" + f.UserID
	var q parts
	q.add(true, `seq < ?`, before)
	q.add(f.Actor != "", `actor = ?`, f.Actor)
	q.add(f.Action != "", `action = ?`, f.Action)
	q.add(f.Target != "", `target = ?`, f.Target)
	q.add(f.UserID != "", `(actor = ? OR target = ? OR subject = ?)`, user, user, f.UserID)
	q.add(!f.Since.IsZero(), `at >= ?`, f.Since)
	q.add(!f.Until.IsZero(), `at < ?`, f.Until)
	where := q.where()
	return list(ctx, t, scanAudit, `SELECT `+auditColumns+` FROM audit WHERE `+where+` ORDER BY seq DESC LIMIT `+q.arg(limit), q.args...)
}

// parts gathers the conditions of a statement. They are constants of the code, so there are few statements; what is compared
// with stands in arguments.
type parts struct {
	conditions []string
	args       []any
}

// add adds a condition where it is wanted. Each ? in it is the next value.
func (p *parts) add(wanted bool, condition string, values ...any) {
	if !wanted {
		return
	}
	for _, v := range values {
		condition = strings.Replace(condition, "?", p.arg(v), 1)
	}
	p.conditions = append(p.conditions, condition)
}

// arg adds an argument and returns how the statement names it.
func (p *parts) arg(v any) string {
	p.args = append(p.args, v)
	return "$" + strconv.Itoa(len(p.args))
}

func (p *parts) where() string { return strings.Join(p.conditions, " AND ") }

const checkpointColumns = `seq, at, hash, key_id, signature`

func scanCheckpoint(row scanner) (c identity.Checkpoint, err error) {
	return c, found("checkpoint", row.Scan(&c.Seq, moment{&c.At}, (*column.Digest)(&c.Hash), &c.KeyID, &c.Signature))
}

func (t *transaction) LastCheckpoint(ctx context.Context) (identity.Checkpoint, error) {
	return scanCheckpoint(t.row(ctx, `SELECT `+checkpointColumns+` FROM audit_checkpoints ORDER BY seq DESC LIMIT 1`))
}

// InsertCheckpoint of a place that another replica has just signed is run again, and finds nothing to do.
func (t *transaction) InsertCheckpoint(ctx context.Context, c identity.Checkpoint) error {
	err := t.one(ctx, postgres.Again(errMoved), `INSERT INTO audit_checkpoints (`+checkpointColumns+`) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, c.Seq, at(c.At), c.Hash[:], c.KeyID, c.Signature)
	if err != nil {
		return fmt.Errorf("insert checkpoint: %w", err)
	}
	return nil
}

func (t *transaction) Checkpoints(ctx context.Context, after int64, limit int) ([]identity.Checkpoint, error) {
	return list(ctx, t, scanCheckpoint, `SELECT `+checkpointColumns+` FROM audit_checkpoints
		WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
}

func (t *transaction) PersonKey(ctx context.Context, userID string) (key [32]byte, err error) {
	err = t.row(ctx, `SELECT secret FROM person_keys WHERE user_id = $1`, id(userID)).Scan((*column.Digest)(&key))
	return key, found("person key", err)
}

// InsertPersonKey that loses against another is run again, and finds that other's key.
func (t *transaction) InsertPersonKey(ctx context.Context, userID string, key [32]byte) error {
	err := t.one(ctx, postgres.Again(errMoved), `INSERT INTO person_keys (user_id, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id(userID), key[:])
	if err != nil {
		return fmt.Errorf("insert person key: %w", err)
	}
	return nil
}
