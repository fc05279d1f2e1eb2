package sqlite

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
		&p.CredentialID, &p.PublicKey, &p.SignCount, &p.BackupEligible, words{&p.Transports}, moment{&p.UsedAt})
	return f, found("factor", err)
}

func (t *transaction) Factors(ctx context.Context, userID string) ([]identity.Factor, error) {
	return list(ctx, t, scanFactor, `SELECT `+factorColumns+` FROM factors WHERE user_id = ? ORDER BY created_at, id`, userID)
}

const insertFactor = `
	INSERT INTO factors (id, user_id, kind, name, sealed, created_at, confirmed_at, last_step) VALUES (?, ?, ?, ?, ?, ?, 0, 0)`

func (t *transaction) InsertFactor(ctx context.Context, f identity.Factor) error {
	_, err := t.tx.Exec(ctx, insertFactor,
		f.ID, f.UserID, string(f.Kind), f.Name, blob(f.Sealed), micros(f.CreatedAt))
	if err != nil {
		return fmt.Errorf("insert factor: %w", err)
	}
	return nil
}

func (t *transaction) ConfirmFactor(ctx context.Context, id string, at time.Time) error {
	return t.one(ctx, errNotFound, `UPDATE factors SET confirmed_at = ? WHERE id = ?`, micros(at), id)
}

func (t *transaction) SpendStep(ctx context.Context, id string, step int64) (bool, error) {
	n, err := t.tx.Exec(ctx, `UPDATE factors SET last_step = ?1 WHERE id = ?2 AND last_step < ?1`, step, id)
	return n == 1, err
}

func (t *transaction) NameFactor(ctx context.Context, userID, id, name string) error {
	return t.one(ctx, errNotFound, `UPDATE factors SET name = ? WHERE user_id = ? AND id = ?`, name, userID, id)
}

func (t *transaction) DeleteFactor(ctx context.Context, userID, id string) error {
	return t.one(ctx, errNotFound, `DELETE FROM factors WHERE user_id = ? AND id = ?`, userID, id)
}

func (t *transaction) PutRecoveryCodes(ctx context.Context, userID string, hashes [][32]byte) error {
	if _, err := t.tx.Exec(ctx, `DELETE FROM recovery_codes WHERE user_id = ?`, userID); err != nil {
		return err
	}
	for _, h := range hashes {
		if _, err := t.tx.Exec(ctx, `INSERT INTO recovery_codes (user_id, hash) VALUES (?, ?)`, userID, h[:]); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) SpendRecoveryCode(ctx context.Context, userID string, hash [32]byte) (bool, error) {
	n, err := t.tx.Exec(ctx, `DELETE FROM recovery_codes WHERE user_id = ? AND hash = ?`, userID, hash[:])
	return n == 1, err
}

func (t *transaction) CountRecoveryCodes(ctx context.Context, userID string) (n int, err error) {
	err = t.tx.QueryRow(ctx, `SELECT count(*) FROM recovery_codes WHERE user_id = ?`, userID).Scan(&n)
	return n, found("recovery codes", err)
}

const challengeColumns = `id, user_id, hash, proved, device_name, attempts, created_at, expires_at`

const forgetChallenges = `
	DELETE FROM login_challenges WHERE user_id = ?1 AND id NOT IN
		(SELECT id FROM login_challenges WHERE user_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2)`

func (t *transaction) InsertChallenge(ctx context.Context, c identity.Challenge, keep int) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO login_challenges (`+challengeColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		c.ID, c.UserID, c.Hash[:], c.Proved[:], c.DeviceName, c.Attempts, micros(c.CreatedAt), micros(c.ExpiresAt))
	if err != nil {
		return fmt.Errorf("insert challenge: %w", err)
	}
	_, err = t.tx.Exec(ctx, forgetChallenges, c.UserID, keep)
	return err
}

const tryChallenge = `
	UPDATE login_challenges SET attempts = attempts + 1 WHERE id = ? AND attempts < ? RETURNING ` + challengeColumns

func (t *transaction) TryChallenge(ctx context.Context, id string, most int) (c identity.Challenge, err error) {
	err = t.tx.QueryRow(ctx, tryChallenge, id, most).Scan(&c.ID, &c.UserID, (*column.Digest)(&c.Hash), (*column.Digest)(&c.Proved),
		&c.DeviceName, &c.Attempts, moment{&c.CreatedAt}, moment{&c.ExpiresAt})
	return c, found("challenge", err)
}

func (t *transaction) DeleteChallenge(ctx context.Context, id string) error {
	return t.one(ctx, errNotFound, `DELETE FROM login_challenges WHERE id = ?`, id)
}

const sweepChallenges = `
	DELETE FROM login_challenges WHERE id IN (SELECT id FROM login_challenges WHERE expires_at <= ? LIMIT ?)`

func (t *transaction) SweepChallenges(ctx context.Context, limit int) (int, error) {
	n, err := t.tx.Exec(ctx, sweepChallenges, micros(t.now), limit)
	return int(n), err
}

func (t *transaction) ProveSession(ctx context.Context, id string, at time.Time, proof identity.Proof) error {
	return t.one(ctx, errNotFound, `UPDATE sessions SET proved_at = ?, proof = ? WHERE id = ?`, micros(at), string(proof), id)
}
