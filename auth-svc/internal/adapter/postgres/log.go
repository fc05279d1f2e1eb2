package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/postgres"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

// AppendRevocation takes the lock of the log's head by counting it up.
func (t *transaction) AppendRevocation(ctx context.Context, r identity.Revocation) (seq int64, err error) {
	err = t.row(ctx, `UPDATE revocation_head SET seq = seq + 1 RETURNING seq`).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("number a revocation: %w", err)
	}
	_, err = t.exec(ctx, `INSERT INTO revocations (seq, kind, subject, person, at, valid_until)
		VALUES ($1, $2, $3, $4, $5, $6)`, seq, string(r.Kind), r.ID, personOf(r), at(r.At), at(r.Until))
	if err != nil || t.notified {
		return seq, err
	}
	t.notified = true
	return seq, t.tx.Notify(ctx, newsChannel, newsLog)
}

// personOf is whose epoch an entry is.
func personOf(r identity.Revocation) *uuid.UUID {
	if r.Kind != identity.KindUserEpoch {
		return nil
	}
	return id(r.ID)
}

func (t *transaction) RevocationHead(ctx context.Context) (seq int64, err error) {
	err = t.row(ctx, `SELECT seq FROM revocation_head`).Scan(&seq)
	return seq, found("the head of the revocation log", err)
}

func (t *transaction) Revocations(ctx context.Context, after int64, limit int) ([]identity.Revocation, error) {
	scan := func(row scanner) (r identity.Revocation, err error) {
		return r, row.Scan(&r.Seq, &r.Kind, &r.ID, moment{&r.At}, moment{&r.Until}, &r.Status)
	}
	return list(ctx, t, scan, `SELECT r.seq, r.kind, r.subject, r.at, r.valid_until, coalesce(u.status, '')
		FROM revocations r LEFT JOIN users u ON u.id = r.person
		WHERE r.seq > $1 AND r.valid_until > $2 ORDER BY r.seq LIMIT $3`, after, t.now, limit)
}

var _ identity.LogReader = (*Store)(nil)

// readLog is one statement, and so sees one state. A standby, whose log lags behind, has nothing to say.
const readLog = `
	SELECT h.seq, r.seq, r.kind, r.subject, r.at, r.valid_until, r.status
	FROM revocation_head h LEFT JOIN (
		SELECT r.seq, r.kind, r.subject, r.at, r.valid_until, coalesce(u.status, '') AS status
		FROM revocations r LEFT JOIN users u ON u.id = r.person
		WHERE r.seq > $1 AND r.valid_until > coalesce($2, clock_timestamp()) ORDER BY r.seq LIMIT $3
	) r ON true
	WHERE NOT pg_is_in_recovery() ORDER BY r.seq`

// ReadLog costs one round trip.
func (s *Store) ReadLog(ctx context.Context, after int64, limit int) (entries []identity.Revocation, head int64, err error) {
	var now *time.Time
	if s.now != nil {
		now = at(s.now())
	}
	err = s.db.Batch(ctx, func(b *pgx.Batch) { b.Queue(readLog, after, now, limit) }, func(results pgx.BatchResults) error {
		entries, head = nil, -1
		rows, err := results.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var seq *int64
			var kind, subject, status *string
			var made, until *time.Time
			if err := rows.Scan(&head, &seq, &kind, &subject, &made, &until, &status); err != nil {
				return err
			}
			if seq != nil {
				entries = append(entries, identity.Revocation{
					Seq: *seq, Kind: identity.Kind(*kind), ID: *subject, At: made.UTC(), Until: until.UTC(), Status: identity.Status(*status),
				})
			}
		}
		return rows.Err()
	})
	if err == nil && head < 0 {
		err = fault.New(fault.Unavailable, "the database has no head of the log, or is a standby")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the log: %w", err)
	}
	return entries, head, nil
}

// UntoldBlocks reads all people. It runs once an hour, and a reader keeps nobody waiting.
func (t *transaction) UntoldBlocks(ctx context.Context, until time.Time, limit int) ([]string, error) {
	scan := func(row scanner) (id string, err error) { return id, row.Scan(&id) }
	return list(ctx, t, scan, `SELECT u.id FROM users u WHERE u.status = 'blocked' AND NOT EXISTS
		(SELECT 1 FROM revocations r WHERE r.person = u.id AND r.valid_until > $1) ORDER BY u.id LIMIT $2`, at(until), limit)
}

func (t *transaction) SweepRevocations(ctx context.Context, limit int) (int, error) {
	return t.sweep(ctx, "revocations", "seq", "valid_until", limit)
}

// AuditHead locks the end of the chain: two rows never follow the same one.
func (t *transaction) AuditHead(ctx context.Context) (seq int64, hash [32]byte, err error) {
	if err := t.lock(ctx, "audit"); err != nil {
		return 0, hash, err
	}
	err = t.row(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&seq, (*column.Digest)(&hash))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, hash, nil
	}
	return seq, hash, err
}

func (t *transaction) Bootstrapped(ctx context.Context) (was bool, err error) {
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM bootstrap)`).Scan(&was)
	return was, found("the first start", err)
}

// InsertBootstrap loses against another replica that starts for the first time: run again, this one sees that it was second.
func (t *transaction) InsertBootstrap(ctx context.Context, tokenHash [32]byte) error {
	return t.one(ctx, postgres.Again(errMoved), `INSERT INTO bootstrap (only_one, token_hash, made_at) VALUES (true, $1, $2)
		ON CONFLICT DO NOTHING`, tokenHash[:], t.now)
}

func (t *transaction) SpendBootstrapToken(ctx context.Context, tokenHash [32]byte) (bool, error) {
	return t.did(ctx, `UPDATE bootstrap SET spent_at = $1 WHERE token_hash = $2 AND spent_at IS NULL`, t.now, tokenHash[:])
}
