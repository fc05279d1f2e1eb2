-- +goose Up
-- A factor is an app that makes codes or, from now on, a passkey. Code of before asks whoever has a passkey for a code,
-- which they don't have, or a recovery code: it opens nothing that was closed.
ALTER TABLE factors ADD COLUMN kind TEXT NOT NULL DEFAULT 'totp';
ALTER TABLE factors ADD COLUMN credential_id BLOB; -- NULL for an app, and while a passkey is not confirmed
ALTER TABLE factors ADD COLUMN public_key BLOB;
ALTER TABLE factors ADD COLUMN sign_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE factors ADD COLUMN backup_eligible INTEGER NOT NULL DEFAULT 0;
ALTER TABLE factors ADD COLUMN transports TEXT NOT NULL DEFAULT '';
ALTER TABLE factors ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX factors_by_credential ON factors (credential_id);

-- Challenges that were answered well: none is good twice. Those never answered have no row.
CREATE TABLE spent_passkey_challenges (
    nonce      BLOB    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_passkey_challenges_by_expiry ON spent_passkey_challenges (expires_at);
