package postgres

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const factorColumns = `id, user_id, kind, name, sealed, created_at, confirmed_at, last_step,
	credential_id, public_key, sign_count, backup_eligible, transports, used_at`

func scanFactor(row scanner) (f identity.Factor, err error) {
	p := &f.Passkey
	err = row.Scan(&f.ID, &f.UserID, &f.Kind, &f.Name, &f.Sealed, moment{&f.CreatedAt}, moment{&f.ConfirmedAt}, &f.LastStep,
		&p.CredentialID, &p.PublicKey, &p.SignCount, &p.BackupEligible, &p.Transports, moment{&p.UsedAt})
	return f, found("factor", err)
}

// Factors locks the person: that covers factors to come too.
func (t *transaction) Factors(ctx context.Context, userID string) ([]identity.Factor, error) {
	if err := t.lockPerson(ctx, userID); err != nil {
		return nil, err
	}
	return list(ctx, t, scanFactor, `SELECT `+factorColumns+` FROM factors WHERE user_id = $1 ORDER BY created_at, id`, id(userID))
}

const insertFactor = `
	INSERT INTO factors (id, user_id, kind, name, sealed, created_at, last_step) VALUES ($1, $2, $3, $4, $5, $6, 0)`

func (t *transaction) InsertFactor(ctx context.Context, f identity.Factor) error {
	_, err := t.exec(ctx, insertFactor, id(f.ID), id(f.UserID), string(f.Kind), f.Name, bytesOf(f.Sealed), at(f.CreatedAt))
	if err != nil {
		return fmt.Errorf("insert factor: %w", err)
	}
	return nil
}

func (t *transaction) ConfirmFactor(ctx context.Context, factorID string, when time.Time) error {
	return t.one(ctx, errNotFound, `UPDATE factors SET confirmed_at = $1 WHERE id = $2`, at(when), id(factorID))
}

func (t *transaction) SpendStep(ctx context.Context, factorID string, step int64) (bool, error) {
	return t.did(ctx, `UPDATE factors SET last_step = $1 WHERE id = $2 AND last_step < $1`, step, id(factorID))
}

func (t *transaction) NameFactor(ctx context.Context, userID, factorID, name string) error {
	return t.one(ctx, errNotFound, `UPDATE factors SET name = $1 WHERE user_id = $2 AND id = $3`, name, id(userID), id(factorID))
}

func (t *transaction) DeleteFactor(ctx context.Context, userID, factorID string) error {
	return t.one(ctx, errNotFound, `DELETE FROM factors WHERE user_id = $1 AND id = $2`, id(userID), id(factorID))
}

func (t *transaction) PutRecoveryCodes(ctx context.Context, userID string, hashes [][32]byte) error {
	if err := t.lockPerson(ctx, userID); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM recovery_codes WHERE user_id = $1`, id(userID)); err != nil {
		return err
	}
	values := make([][]byte, len(hashes))
	for i := range hashes {
		values[i] = hashes[i][:]
	}
	_, err := t.exec(ctx, `INSERT INTO recovery_codes (user_id, hash) SELECT $1, unnest($2::bytea[])`, id(userID), values)
	return err
}

func (t *transaction) SpendRecoveryCode(ctx context.Context, userID string, hash [32]byte) (bool, error) {
	return t.did(ctx, `DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2`, id(userID), hash[:])
}

func (t *transaction) CountRecoveryCodes(ctx context.Context, userID string) (n int, err error) {
	err = t.row(ctx, `SELECT count(*) FROM recovery_codes WHERE user_id = $1`, id(userID)).Scan(&n)
	return n, found("recovery codes", err)
}

const challengeColumns = `id, user_id, hash, proved, device_name, attempts, created_at, expires_at`

const forgetChallenges = `
	DELETE FROM login_challenges WHERE user_id = $1 AND id NOT IN
		(SELECT id FROM login_challenges WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2)`

func (t *transaction) InsertChallenge(ctx context.Context, c identity.Challenge, keep int) error {
	if err := t.lockPerson(ctx, c.UserID); err != nil {
		return err
	}
	_, err := t.exec(ctx, `INSERT INTO login_challenges (`+challengeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id(c.ID), id(c.UserID), c.Hash[:], c.Proved[:], c.DeviceName, c.Attempts, at(c.CreatedAt), at(c.ExpiresAt))
	if err != nil {
		return fmt.Errorf("insert challenge: %w", err)
	}
	_, err = t.exec(ctx, forgetChallenges, id(c.UserID), keep)
	return err
}

const tryChallenge = `
	UPDATE login_challenges SET attempts = attempts + 1 WHERE id = $1 AND attempts < $2 RETURNING ` + challengeColumns

func (t *transaction) TryChallenge(ctx context.Context, challengeID string, most int) (c identity.Challenge, err error) {
	err = t.row(ctx, tryChallenge, id(challengeID), most).Scan(&c.ID, &c.UserID, (*column.Digest)(&c.Hash), (*column.Digest)(&c.Proved),
		&c.DeviceName, &c.Attempts, moment{&c.CreatedAt}, moment{&c.ExpiresAt})
	return c, found("challenge", err)
}

func (t *transaction) DeleteChallenge(ctx context.Context, challengeID string) error {
	return t.one(ctx, errNotFound, `DELETE FROM login_challenges WHERE id = $1`, id(challengeID))
}

func (t *transaction) SweepChallenges(ctx context.Context, limit int) (int, error) {
	return t.sweep(ctx, "login_challenges", "id", "expires_at", limit)
}
