package postgres

import (
	"context"
	"fmt"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/postgres"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (t *transaction) FactorByCredential(ctx context.Context, credentialID []byte) (identity.Factor, error) {
	return scanFactor(t.row(ctx, `SELECT `+factorColumns+` FROM factors WHERE credential_id = $1`, bytesOf(credentialID)))
}

const confirmPasskey = `
	UPDATE factors SET confirmed_at = $1, credential_id = $2, public_key = $3, sign_count = $4, backup_eligible = $5, transports = $6
	WHERE id = $7`

var errCredentialTaken = fault.New(fault.Conflict, "the credential is registered already")

func (t *transaction) ConfirmPasskey(ctx context.Context, factorID string, when time.Time, p identity.Passkey) error {
	transports := p.Transports
	if transports == nil {
		transports = []string{}
	}
	err := t.one(ctx, errNotFound, confirmPasskey, at(when), bytesOf(p.CredentialID), bytesOf(p.PublicKey), int64(p.SignCount),
		p.BackupEligible, transports, id(factorID))
	if postgres.IsUnique(err) {
		return errCredentialTaken
	}
	return err
}

const countPasskey = `
	UPDATE factors SET sign_count = $1, used_at = $2 WHERE id = $3 AND (sign_count < $1 OR (sign_count = 0 AND $1 = 0))`

func (t *transaction) CountPasskey(ctx context.Context, factorID string, count uint32, when time.Time) (bool, error) {
	return t.did(ctx, countPasskey, int64(count), at(when), id(factorID))
}

const spendPasskeyChallenge = `INSERT INTO spent_passkey_challenges (nonce, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`

func (t *transaction) SpendPasskeyChallenge(ctx context.Context, nonce [16]byte, expires time.Time) (bool, error) {
	fresh, err := t.did(ctx, spendPasskeyChallenge, nonce[:], at(expires))
	if err != nil {
		return false, fmt.Errorf("spend a passkey challenge: %w", err)
	}
	return fresh, nil
}

func (t *transaction) SweepPasskeyChallenges(ctx context.Context, limit int) (int, error) {
	return t.sweep(ctx, "spent_passkey_challenges", "nonce", "expires_at", limit)
}
