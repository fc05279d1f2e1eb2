package postgres

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const sessionColumns = `
	s.id, s.user_id, s.device_name, s.user_agent, s.address, s.created_at, s.refreshed_at, s.refresh_until, s.access_until,
	s.generation, s.secret_hash, s.previous_hash, s.sealed, s.proved_at, s.proof, s.policy`

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

func (t *transaction) Session(ctx context.Context, sessionID string) (identity.Session, error) {
	return scanSession(t.row(ctx, `SELECT `+sessionColumns+` FROM sessions s WHERE s.id = $1`, id(sessionID)))
}

// Both have the same arguments, so the lock names the time too.
const (
	lockForRefresh   = `SELECT 1 FROM sessions WHERE id = $1 AND $2::timestamptz IS NOT NULL FOR UPDATE`
	selectForRefresh = `
	SELECT ` + sessionColumns + `, u.status, u.epoch, u.permissions, ` + roleGrants + `,
		(SELECT count(*) FROM sessions n
			WHERE n.user_id = s.user_id AND n.policy = s.policy AND (n.created_at, n.id) > (s.created_at, s.id) AND n.refresh_until > $2)
	FROM sessions s JOIN users u ON u.id = s.user_id
	WHERE s.id = $1`
)

// SessionForRefresh locks the session alone: that many refreshes do nothing to the row of a person. Who changes a person's
// rights looks for the tokens there may be, and waits for refreshes under way (TokensUntil); a refresh that waits for them
// reads the rights when it has the lock.
func (t *transaction) SessionForRefresh(ctx context.Context, sessionID string) (s identity.Session, r identity.Rights, newer int, err error) {
	var own, roles []string
	err = t.underLock(ctx, lockForRefresh, selectForRefresh, id(sessionID), t.now).
		Scan(append(sessionDest(&s), &r.Status, &r.Epoch, &own, &roles, &newer)...)
	if err != nil {
		return s, r, 0, found("session", err)
	}
	return s, r, newer, joinGrants(&r, own, roles)
}

const insertSession = `
	INSERT INTO sessions (id, user_id, device_name, user_agent, address, created_at, refreshed_at, refresh_until,
		access_until, generation, secret_hash, previous_hash, sealed, sweep_at, proved_at, proof, policy)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`

func (t *transaction) InsertSession(ctx context.Context, s identity.Session) error {
	_, err := t.exec(ctx, insertSession, id(s.ID), id(s.UserID), s.DeviceName, s.UserAgent, column.AddressText(s.Address),
		at(s.CreatedAt), at(s.RefreshedAt), at(s.RefreshUntil), at(s.AccessUntil), s.Generation,
		s.SecretHash[:], s.PreviousHash[:], bytesOf(s.Sealed), sweepAt(s.RefreshUntil), at(s.ProvedAt), string(s.Proof), s.Policy)
	if err != nil {
		return fmt.Errorf("insert session: %w", err)
	}
	return nil
}

const rotateSession = `
	UPDATE sessions SET address = $1, refreshed_at = $2, refresh_until = $3, access_until = $4, generation = $5,
		secret_hash = $6, previous_hash = $7, sealed = $8, sweep_at = $9
	WHERE id = $10 AND generation = $11`

func (t *transaction) RotateSession(ctx context.Context, s identity.Session) error {
	return t.one(ctx, errMoved, rotateSession, column.AddressText(s.Address), at(s.RefreshedAt), at(s.RefreshUntil),
		at(s.AccessUntil), s.Generation, s.SecretHash[:], s.PreviousHash[:], bytesOf(s.Sealed), sweepAt(s.RefreshUntil),
		id(s.ID), s.Generation-1)
}

func (t *transaction) DeleteSession(ctx context.Context, sessionID string) (identity.Session, error) {
	return scanSession(t.row(ctx, `DELETE FROM sessions s WHERE s.id = $1 RETURNING `+sessionColumns, id(sessionID)))
}

const (
	selectSessionsOf = `SELECT ` + sessionColumns + ` FROM sessions s
		WHERE s.user_id = $1 AND s.refresh_until > $2 ORDER BY s.created_at DESC, s.id DESC LIMIT $3`
	selectSessionsAfter = `SELECT ` + sessionColumns + ` FROM sessions s
		WHERE s.user_id = $1 AND s.refresh_until > $2 AND (s.created_at, s.id) < ($4, $5)
		ORDER BY s.created_at DESC, s.id DESC LIMIT $3`
)

func (t *transaction) SessionsOf(ctx context.Context, userID string, after identity.Cursor, limit int) ([]identity.Session, error) {
	if after.IsZero() {
		return list(ctx, t, scanSession, selectSessionsOf, id(userID), t.now, limit)
	}
	return list(ctx, t, scanSession, selectSessionsAfter, id(userID), t.now, limit, at(after.At), id(after.ID))
}

func (t *transaction) NameSession(ctx context.Context, sessionID, deviceName string) error {
	return t.one(ctx, errNotFound, `UPDATE sessions SET device_name = $1 WHERE id = $2`, deviceName, id(sessionID))
}

func (t *transaction) ProveSession(ctx context.Context, sessionID string, when time.Time, proof identity.Proof) error {
	return t.one(ctx, errNotFound, `UPDATE sessions SET proved_at = $1, proof = $2 WHERE id = $3`, at(when), string(proof), id(sessionID))
}

func (t *transaction) SweepSessions(ctx context.Context, limit int) (int, error) {
	return t.sweep(ctx, "sessions", "id", "sweep_at", limit)
}

// sweepAt is the first full hour at which a session that ends then is surely over.
func sweepAt(until time.Time) time.Time {
	return until.Truncate(time.Hour).Add(time.Hour)
}
