-- +goose Up
-- What a session's owner has shown, and when. Sessions of before came in by password when they were made.
ALTER TABLE sessions ADD COLUMN proved_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN proof TEXT NOT NULL DEFAULT 'password';
UPDATE sessions SET proved_at = created_at;

-- Second factors. The secret is sealed for its row; last_step is the newest time step whose code was taken.
CREATE TABLE factors (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    sealed       BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    last_step    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX factors_by_user ON factors (user_id, created_at, id);

-- A used code has no row.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    BLOB NOT NULL,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

-- Logins whose password was right and whose second factor is still to be shown.
CREATE TABLE login_challenges (
    id          TEXT    NOT NULL PRIMARY KEY,
    user_id     TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash        BLOB    NOT NULL,
    proved      BLOB    NOT NULL,
    device_name TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_challenges_by_user ON login_challenges (user_id, created_at, id);
CREATE INDEX login_challenges_by_expiry ON login_challenges (expires_at);
