package postgres

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Counter takes a lock of the key's own, since a key that was never counted has no row to lock.
func (t *transaction) Counter(ctx context.Context, key [32]byte) (identity.Counter, error) {
	c := identity.Counter{Key: key}
	if err := t.lock(ctx, "counter/"+hex.EncodeToString(key[:])); err != nil {
		return c, fmt.Errorf("lock a counter: %w", err)
	}
	err := t.row(ctx, `SELECT count, since, locked_until, valid_until FROM counters WHERE key = $1`, key[:]).
		Scan(&c.Count, moment{&c.Since}, moment{&c.LockedUntil}, moment{&c.Until})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return c, found("counter", err)
}

const putCounter = `
	INSERT INTO counters (key, count, since, locked_until, valid_until) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (key) DO UPDATE SET count = excluded.count, since = excluded.since, locked_until = excluded.locked_until,
		valid_until = excluded.valid_until`

func (t *transaction) PutCounter(ctx context.Context, c identity.Counter) error {
	_, err := t.exec(ctx, putCounter, c.Key[:], c.Count, at(c.Since), at(c.LockedUntil), at(c.Until))
	return err
}

// SweepCounters also forgets guesses whose replica has gone.
func (t *transaction) SweepCounters(ctx context.Context, limit int) (int, error) {
	if _, err := t.exec(ctx, `DELETE FROM guesses WHERE valid_until < now()`); err != nil {
		return 0, err
	}
	return t.sweep(ctx, "counters", "key", "valid_until", limit)
}

func (t *transaction) KnownDevice(ctx context.Context, userID string, device [32]byte) (known bool, err error) {
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM devices WHERE user_id = $1 AND device = $2)`, id(userID), device[:]).Scan(&known)
	return known, found("device", err)
}

const putDevice = `
	INSERT INTO devices (user_id, device, seen_at) VALUES ($1, $2, $3)
	ON CONFLICT (user_id, device) DO UPDATE SET seen_at = excluded.seen_at`

const forgetDevices = `
	DELETE FROM devices WHERE user_id = $1 AND device NOT IN
		(SELECT device FROM devices WHERE user_id = $1 ORDER BY seen_at DESC, device LIMIT $2)`

func (t *transaction) PutDevice(ctx context.Context, userID string, device [32]byte, keep int) error {
	if _, err := t.exec(ctx, putDevice, id(userID), device[:], t.now); err != nil {
		return err
	}
	_, err := t.exec(ctx, forgetDevices, id(userID), keep)
	return err
}
