package postgres

import (
	"context"
	"fmt"

	"cloakroom.dev/auth-svc/internal/column"
	"cloakroom.dev/auth-svc/internal/identity"
)

const keyColumns = `id, user_id, name, secret_hash, permissions, created_at, expires_at, last_used_at, access_until`

func scanAPIKey(row scanner) (k identity.APIKey, err error) {
	var permissions []string
	err = row.Scan(&k.ID, &k.UserID, &k.Name, (*column.Digest)(&k.SecretHash), &permissions, moment{&k.CreatedAt},
		moment{&k.ExpiresAt}, moment{&k.LastUsedAt}, moment{&k.AccessUntil})
	if err != nil {
		return k, found("API key", err)
	}
	k.Permissions, err = column.Permissions(permissions)
	return k, err
}

func (t *transaction) APIKey(ctx context.Context, keyID string) (identity.APIKey, error) {
	return scanAPIKey(t.row(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE id = $1`, id(keyID)))
}

func (t *transaction) InsertAPIKey(ctx context.Context, k identity.APIKey) error {
	_, err := t.exec(ctx, `INSERT INTO api_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		id(k.ID), id(k.UserID), k.Name, k.SecretHash[:], column.PermissionTexts(k.Permissions), at(k.CreatedAt), at(k.ExpiresAt),
		at(k.LastUsedAt), at(k.AccessUntil))
	if err != nil {
		return fmt.Errorf("insert API key: %w", err)
	}
	return nil
}

func (t *transaction) TouchAPIKey(ctx context.Context, k identity.APIKey) error {
	return t.one(ctx, errNotFound, `UPDATE api_keys SET last_used_at = $1, access_until = $2 WHERE id = $3`,
		at(k.LastUsedAt), at(k.AccessUntil), id(k.ID))
}

func (t *transaction) DeleteAPIKey(ctx context.Context, keyID string) error {
	return t.one(ctx, errNotFound, `DELETE FROM api_keys WHERE id = $1`, id(keyID))
}

const (
	selectAPIKeysOf = `SELECT ` + keyColumns + ` FROM api_keys
		WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`
	selectAPIKeysAfter = `SELECT ` + keyColumns + ` FROM api_keys
		WHERE user_id = $1 AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT $2`
)

func (t *transaction) APIKeysOf(ctx context.Context, userID string, after identity.Cursor, limit int) ([]identity.APIKey, error) {
	if after.IsZero() {
		return list(ctx, t, scanAPIKey, selectAPIKeysOf, id(userID), limit)
	}
	return list(ctx, t, scanAPIKey, selectAPIKeysAfter, id(userID), limit, at(after.At), id(after.ID))
}

const signingKeyColumns = `id, algorithm, public, sealed, state, created_at, activate_at, gone_at`

func scanSigningKey(row scanner) (k identity.SigningKey, err error) {
	err = row.Scan(&k.ID, &k.Algorithm, &k.Public, &k.Sealed, &k.State, moment{&k.CreatedAt}, moment{&k.ActivateAt}, moment{&k.GoneAt})
	return k, found("signing key", err)
}

// SigningKeys takes the lock of all keys, those to come as well: one replica turns them at a time, and the next sees it done.
func (t *transaction) SigningKeys(ctx context.Context) ([]identity.SigningKey, error) {
	if err := t.lock(ctx, "signing_keys"); err != nil {
		return nil, fmt.Errorf("lock the signing keys: %w", err)
	}
	return list(ctx, t, scanSigningKey, `SELECT `+signingKeyColumns+` FROM signing_keys ORDER BY created_at, id`)
}

func (t *transaction) InsertSigningKey(ctx context.Context, k identity.SigningKey) error {
	_, err := t.exec(ctx, `INSERT INTO signing_keys (`+signingKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.ID, k.Algorithm, bytesOf(k.Public), bytesOf(k.Sealed), string(k.State), at(k.CreatedAt), at(k.ActivateAt), at(k.GoneAt))
	if err != nil {
		return fmt.Errorf("insert signing key: %w", err)
	}
	return nil
}

func (t *transaction) UpdateSigningKey(ctx context.Context, k identity.SigningKey) error {
	return t.one(ctx, errNotFound, `UPDATE signing_keys SET state = $1, activate_at = $2, gone_at = $3 WHERE id = $4`,
		string(k.State), at(k.ActivateAt), at(k.GoneAt), k.ID)
}

func (t *transaction) DeleteSigningKey(ctx context.Context, keyID string) error {
	return t.one(ctx, errNotFound, `DELETE FROM signing_keys WHERE id = $1`, keyID)
}
