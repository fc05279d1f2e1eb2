package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cloakroom.dev/libs/sqlite"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

func (t *transaction) AppendRevocation(ctx context.Context, r identity.Revocation) (seq int64, err error) {
	err = t.tx.QueryRow(ctx, `UPDATE revocation_head SET seq = seq + 1 RETURNING seq`).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("number a revocation: %w", err)
	}
	_, err = t.tx.Exec(ctx, `INSERT INTO revocations (seq, kind, subject, at, valid_until) VALUES (?, ?, ?, ?, ?)`,
		seq, string(r.Kind), r.ID, micros(r.At), micros(r.Until))
	return seq, err
}

func (t *transaction) RevocationHead(ctx context.Context) (seq int64, err error) {
	err = t.tx.QueryRow(ctx, `SELECT seq FROM revocation_head`).Scan(&seq)
	return seq, found("the head of the revocation log", err)
}

func (t *transaction) Revocations(ctx context.Context, after int64, limit int) ([]identity.Revocation, error) {
	scan := func(row scanner) (r identity.Revocation, err error) {
		return r, row.Scan(&r.Seq, &r.Kind, &r.ID, moment{&r.At}, moment{&r.Until}, &r.Status)
	}
	return list(ctx, t, scan, `SELECT r.seq, r.kind, r.subject, r.at, r.valid_until, COALESCE(u.status, '')
		FROM revocations r LEFT JOIN users u ON r.kind = 'user_epoch' AND u.id = r.subject
		WHERE r.seq > ? AND r.valid_until > ? ORDER BY r.seq LIMIT ?`, after, micros(t.now), limit)
}

// UntoldBlocks reads all people. It runs once an hour, and a reader keeps nobody waiting.
func (t *transaction) UntoldBlocks(ctx context.Context, until time.Time, limit int) ([]string, error) {
	scan := func(row scanner) (id string, err error) { return id, row.Scan(&id) }
	return list(ctx, t, scan, `SELECT id FROM users WHERE status = 'blocked' AND id NOT IN
		(SELECT subject FROM revocations WHERE kind = 'user_epoch' AND valid_until > ?) ORDER BY id LIMIT ?`, micros(until), limit)
}

const sweepRevocations = `
	DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations WHERE valid_until <= ? LIMIT ?)`

func (t *transaction) SweepRevocations(ctx context.Context, limit int) (int, error) {
	n, err := t.tx.Exec(ctx, sweepRevocations, micros(t.now), limit)
	return int(n), err
}

func (t *transaction) AuditHead(ctx context.Context) (seq int64, hash [32]byte, err error) {
	err = t.tx.QueryRow(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&seq, (*column.Digest)(&hash))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, hash, nil
	}
	return seq, hash, err
}

func (t *transaction) Bootstrapped(ctx context.Context) (was bool, err error) {
	err = t.tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM bootstrap)`).Scan(&was)
	return was, found("the first start", err)
}

func (t *transaction) InsertBootstrap(ctx context.Context, tokenHash [32]byte) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO bootstrap (only, token_hash, made_at, spent_at) VALUES (1, ?, ?, 0)`,
		tokenHash[:], micros(t.now))
	if sqlite.IsUnique(err) {
		return errMoved
	}
	return err
}

func (t *transaction) SpendBootstrapToken(ctx context.Context, tokenHash [32]byte) (bool, error) {
	n, err := t.tx.Exec(ctx, `UPDATE bootstrap SET spent_at = ? WHERE token_hash = ? AND spent_at = 0`,
		micros(t.now), tokenHash[:])
	return n == 1, err
}
