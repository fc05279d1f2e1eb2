package sqlite

import (
	"context"
	"fmt"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const keyColumns = `id, user_id, name, secret_hash, permissions, created_at, expires_at, last_used_at, access_until`

func scanAPIKey(row scanner) (k identity.APIKey, err error) {
	err = row.Scan(&k.ID, &k.UserID, &k.Name, (*column.Digest)(&k.SecretHash), permissions{&k.Permissions}, moment{&k.CreatedAt},
		moment{&k.ExpiresAt}, moment{&k.LastUsedAt}, moment{&k.AccessUntil})
	return k, found("API key", err)
}

func (t *transaction) APIKey(ctx context.Context, id string) (identity.APIKey, error) {
	return scanAPIKey(t.tx.QueryRow(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE id = ?`, id))
}

func (t *transaction) InsertAPIKey(ctx context.Context, k identity.APIKey) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO api_keys (`+keyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		k.ID, k.UserID, k.Name, k.SecretHash[:], permissionText(k.Permissions), micros(k.CreatedAt), micros(k.ExpiresAt),
		micros(k.LastUsedAt), micros(k.AccessUntil))
	if err != nil {
		return fmt.Errorf("insert API key: %w", err)
	}
	return nil
}

func (t *transaction) TouchAPIKey(ctx context.Context, k identity.APIKey) error {
	return t.one(ctx, errNotFound, `UPDATE api_keys SET last_used_at = ?, access_until = ? WHERE id = ?`,
		micros(k.LastUsedAt), micros(k.AccessUntil), k.ID)
}

func (t *transaction) DeleteAPIKey(ctx context.Context, id string) error {
	return t.one(ctx, errNotFound, `DELETE FROM api_keys WHERE id = ?`, id)
}

const (
	selectAPIKeysOf = `SELECT ` + keyColumns + ` FROM api_keys
		WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT ?`
	selectAPIKeysAfter = `SELECT ` + keyColumns + ` FROM api_keys
		WHERE user_id = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`
)

func (t *transaction) APIKeysOf(ctx context.Context, userID string, after identity.Cursor, limit int) ([]identity.APIKey, error) {
	if after.IsZero() {
		return list(ctx, t, scanAPIKey, selectAPIKeysOf, userID, limit)
	}
	return list(ctx, t, scanAPIKey, selectAPIKeysAfter, userID, micros(after.At), after.ID, limit)
}

const signingKeyColumns = `id, algorithm, public, sealed, state, created_at, activate_at, gone_at`

func scanSigningKey(row scanner) (k identity.SigningKey, err error) {
	err = row.Scan(&k.ID, &k.Algorithm, &k.Public, &k.Sealed, &k.State, moment{&k.CreatedAt}, moment{&k.ActivateAt}, moment{&k.GoneAt})
	return k, found("signing key", err)
}

func (t *transaction) SigningKeys(ctx context.Context) ([]identity.SigningKey, error) {
	return list(ctx, t, scanSigningKey, `SELECT `+signingKeyColumns+` FROM signing_keys ORDER BY created_at, id`)
}

func (t *transaction) InsertSigningKey(ctx context.Context, k identity.SigningKey) error {
	_, err := t.tx.Exec(ctx, `INSERT INTO signing_keys (`+signingKeyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		k.ID, k.Algorithm, k.Public, k.Sealed, string(k.State), micros(k.CreatedAt), micros(k.ActivateAt), micros(k.GoneAt))
	if err != nil {
		return fmt.Errorf("insert signing key: %w", err)
	}
	return nil
}

func (t *transaction) UpdateSigningKey(ctx context.Context, k identity.SigningKey) error {
	return t.one(ctx, errNotFound, `UPDATE signing_keys SET state = ?, activate_at = ?, gone_at = ? WHERE id = ?`,
		string(k.State), micros(k.ActivateAt), micros(k.GoneAt), k.ID)
}

func (t *transaction) DeleteSigningKey(ctx context.Context, id string) error {
	return t.one(ctx, errNotFound, `DELETE FROM signing_keys WHERE id = ?`, id)
}
