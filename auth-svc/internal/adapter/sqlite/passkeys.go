package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqlite"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (t *transaction) FactorByCredential(ctx context.Context, credentialID []byte) (identity.Factor, error) {
	return scanFactor(t.tx.QueryRow(ctx, `SELECT `+factorColumns+` FROM factors WHERE credential_id = ?`, blob(credentialID)))
}

const confirmPasskey = `
	UPDATE factors SET confirmed_at = ?, credential_id = ?, public_key = ?, sign_count = ?, backup_eligible = ?, transports = ?
	WHERE id = ?`

var errCredentialTaken = fault.New(fault.Conflict, "the credential is registered already")

func (t *transaction) ConfirmPasskey(ctx context.Context, id string, at time.Time, p identity.Passkey) error {
	err := t.one(ctx, errNotFound, confirmPasskey, micros(at), blob(p.CredentialID), blob(p.PublicKey), int64(p.SignCount),
		p.BackupEligible, strings.Join(p.Transports, " "), id)
	if sqlite.IsUnique(err) {
		return errCredentialTaken
	}
	return err
}

const countPasskey = `
	UPDATE factors SET sign_count = ?1, used_at = ?2 WHERE id = ?3 AND (sign_count < ?1 OR (sign_count = 0 AND ?1 = 0))`

func (t *transaction) CountPasskey(ctx context.Context, id string, count uint32, at time.Time) (bool, error) {
	n, err := t.tx.Exec(ctx, countPasskey, int64(count), micros(at), id)
	return n == 1, err
}

const spendPasskeyChallenge = `INSERT INTO spent_passkey_challenges (nonce, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`

func (t *transaction) SpendPasskeyChallenge(ctx context.Context, nonce [16]byte, expires time.Time) (bool, error) {
	n, err := t.tx.Exec(ctx, spendPasskeyChallenge, nonce[:], micros(expires))
	if err != nil {
		return false, fmt.Errorf("spend a passkey challenge: %w", err)
	}
	return n == 1, nil
}

const sweepPasskeyChallenges = `
	DELETE FROM spent_passkey_challenges WHERE nonce IN
		(SELECT nonce FROM spent_passkey_challenges WHERE expires_at <= ? LIMIT ?)`

func (t *transaction) SweepPasskeyChallenges(ctx context.Context, limit int) (int, error) {
	n, err := t.tx.Exec(ctx, sweepPasskeyChallenges, micros(t.now), limit)
	return int(n), err
}
