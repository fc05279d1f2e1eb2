package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (t *transaction) Counter(ctx context.Context, key [32]byte) (identity.Counter, error) {
	c := identity.Counter{Key: key}
	err := t.tx.QueryRow(ctx, `SELECT count, since, locked_until, valid_until FROM counters WHERE key = ?`, key[:]).
		Scan(&c.Count, moment{&c.Since}, moment{&c.LockedUntil}, moment{&c.Until})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return c, found("counter", err)
}

func (t *transaction) PutCounter(ctx context.Context, c identity.Counter) error {
	_, err := t.tx.Exec(ctx, `INSERT OR REPLACE INTO counters (key, count, since, locked_until, valid_until) VALUES (?, ?, ?, ?, ?)`,
		c.Key[:], c.Count, micros(c.Since), micros(c.LockedUntil), micros(c.Until))
	return err
}

const sweepCounters = `
	DELETE FROM counters WHERE key IN (SELECT key FROM counters WHERE valid_until <= ? LIMIT ?)`

func (t *transaction) SweepCounters(ctx context.Context, limit int) (int, error) {
	n, err := t.tx.Exec(ctx, sweepCounters, micros(t.now), limit)
	return int(n), err
}

func (t *transaction) KnownDevice(ctx context.Context, userID string, device [32]byte) (known bool, err error) {
	err = t.tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM devices WHERE user_id = ? AND device = ?)`, userID, device[:]).
		Scan(&known)
	return known, found("device", err)
}

const forgetDevices = `
	DELETE FROM devices WHERE user_id = ?1 AND device NOT IN
		(SELECT device FROM devices WHERE user_id = ?1 ORDER BY seen_at DESC, device LIMIT ?2)`

func (t *transaction) PutDevice(ctx context.Context, userID string, device [32]byte, keep int) error {
	_, err := t.tx.Exec(ctx, `INSERT OR REPLACE INTO devices (user_id, device, seen_at) VALUES (?, ?, ?)`,
		userID, device[:], micros(t.now))
	if err != nil {
		return err
	}
	_, err = t.tx.Exec(ctx, forgetDevices, userID, keep)
	return err
}
