package sqlite

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const sessionColumns = `
	id, user_id, device_name, user_agent, address, created_at, refreshed_at, refresh_until, access_until,
	generation, secret_hash, previous_hash, sealed, proved_at, proof, policy`

func sessionDest(s *identity.Session) []any {
	return []any{
		&s.ID, &s.UserID, &s.DeviceName, &s.UserAgent, (*column.Address)(&s.Address), moment{&s.CreatedAt}, moment{&s.RefreshedAt},
		moment{&s.RefreshUntil}, moment{&s.AccessUntil}, &s.Generation, (*column.Digest)(&s.SecretHash), (*column.Digest)(&s.PreviousHash), &s.Sealed,
		moment{&s.ProvedAt}, &s.Proof, &s.Policy,
	}
}

func scanSession(row scanner) (s identity.Session, err error) {
	return s, found("session", row.Scan(sessionDest(&s)...))
}

func (t *transaction) Session(ctx context.Context, id string) (identity.Session, error) {
	return scanSession(t.tx.QueryRow(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = ?`, id))
}

const selectForRefresh = `
	SELECT s.id, s.user_id, s.device_name, s.user_agent, s.address, s.created_at, s.refreshed_at, s.refresh_until,
		s.access_until, s.generation, s.secret_hash, s.previous_hash, s.sealed, s.proved_at, s.proof, s.policy,
		u.status, u.epoch, u.permissions, ` + roleGrants + `,
		(SELECT count(*) FROM sessions n
			WHERE n.user_id = s.user_id AND n.policy = s.policy AND (n.created_at, n.id) > (s.created_at, s.id) AND n.refresh_until > ?1)
	FROM sessions s JOIN users u ON u.id = s.user_id
	WHERE s.id = ?2`

func (t *transaction) SessionForRefresh(ctx context.Context, id string) (s identity.Session, r identity.Rights, newer int, err error) {
	var own string
	var roles *string
	err = t.tx.QueryRow(ctx, selectForRefresh, micros(t.now), id).
		Scan(append(sessionDest(&s), &r.Status, &r.Epoch, &own, &roles, &newer)...)
	if err != nil {
		return s, r, 0, found("session", err)
	}
	return s, r, newer, joinGrants(&r, own, roles)
}

const insertSession = `
	INSERT INTO sessions (id, user_id, device_name, user_agent, address, created_at, refreshed_at, refresh_until,
		access_until, generation, secret_hash, previous_hash, sealed, sweep_at, proved_at, proof, policy)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (t *transaction) InsertSession(ctx context.Context, s identity.Session) error {
	_, err := t.tx.Exec(ctx, insertSession, s.ID, s.UserID, s.DeviceName, s.UserAgent, column.AddressText(s.Address),
		micros(s.CreatedAt), micros(s.RefreshedAt), micros(s.RefreshUntil), micros(s.AccessUntil), s.Generation,
		s.SecretHash[:], s.PreviousHash[:], blob(s.Sealed), sweepAt(s.RefreshUntil), micros(s.ProvedAt), string(s.Proof), s.Policy)
	if err != nil {
		return fmt.Errorf("insert session: %w", err)
	}
	return nil
}

const rotateSession = `
	UPDATE sessions SET address = ?, refreshed_at = ?, refresh_until = ?, access_until = ?, generation = ?,
		secret_hash = ?, previous_hash = ?, sealed = ?, sweep_at = ?
	WHERE id = ? AND generation = ?`

func (t *transaction) RotateSession(ctx context.Context, s identity.Session) error {
	return t.one(ctx, errMoved, rotateSession, column.AddressText(s.Address), micros(s.RefreshedAt), micros(s.RefreshUntil),
		micros(s.AccessUntil), s.Generation, s.SecretHash[:], s.PreviousHash[:], blob(s.Sealed), sweepAt(s.RefreshUntil),
		s.ID, s.Generation-1)
}

func (t *transaction) DeleteSession(ctx context.Context, id string) (identity.Session, error) {
	return scanSession(t.tx.QueryRow(ctx, `DELETE FROM sessions WHERE id = ? RETURNING `+sessionColumns, id))
}

const (
	selectSessionsOf = `SELECT ` + sessionColumns + ` FROM sessions
		WHERE user_id = ? AND refresh_until > ? ORDER BY created_at DESC, id DESC LIMIT ?`
	selectSessionsAfter = `SELECT ` + sessionColumns + ` FROM sessions
		WHERE user_id = ? AND refresh_until > ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`
)

func (t *transaction) SessionsOf(ctx context.Context, userID string, after identity.Cursor, limit int) ([]identity.Session, error) {
	if after.IsZero() {
		return list(ctx, t, scanSession, selectSessionsOf, userID, micros(t.now), limit)
	}
	return list(ctx, t, scanSession, selectSessionsAfter, userID, micros(t.now), micros(after.At), after.ID, limit)
}

const sweepSessions = `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE sweep_at <= ? LIMIT ?)`

func (t *transaction) SweepSessions(ctx context.Context, limit int) (int, error) {
	n, err := t.tx.Exec(ctx, sweepSessions, micros(t.now), limit)
	return int(n), err
}

// sweepAt is the first full hour at which a session that ends then is surely over.
func sweepAt(until time.Time) int64 {
	return micros(until.Truncate(time.Hour).Add(time.Hour))
}

// blob keeps nothing as an empty column: NULL is not one.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
