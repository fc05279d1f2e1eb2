-- +goose Up
-- Times are microseconds since 1970, UTC; 0 is never. Permissions are words such as files:read:self, joined by blanks.

CREATE TABLE users (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    email_key     TEXT    UNIQUE, -- NULL for none: only real identifiers collide
    phone         TEXT    UNIQUE,
    username      TEXT    NOT NULL,
    username_key  TEXT    UNIQUE,
    password_hash TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('active', 'blocked')),
    permissions   TEXT    NOT NULL,
    epoch         INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    last_login_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    name        TEXT    NOT NULL PRIMARY KEY,
    permissions TEXT    NOT NULL,
    built_in    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user_roles (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role    TEXT NOT NULL REFERENCES roles (name),
    PRIMARY KEY (user_id, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_roles_by_role ON user_roles (role);

-- One row for each live session; ended ones have none. sweep_at is refresh_until rounded up to the hour: most refreshes
-- leave it, and so its index, alone.
CREATE TABLE sessions (
    id            TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_name   TEXT    NOT NULL,
    user_agent    TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    refreshed_at  INTEGER NOT NULL,
    refresh_until INTEGER NOT NULL,
    access_until  INTEGER NOT NULL,
    generation    INTEGER NOT NULL,
    secret_hash   BLOB    NOT NULL,
    previous_hash BLOB    NOT NULL,
    sealed        BLOB    NOT NULL,
    sweep_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_sweep ON sessions (sweep_at);

CREATE TABLE api_keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    secret_hash  BLOB    NOT NULL,
    permissions  TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    access_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at, id);

CREATE TABLE signing_keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    algorithm   TEXT    NOT NULL,
    public      BLOB    NOT NULL,
    sealed      BLOB    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('next', 'current', 'retiring')),
    created_at  INTEGER NOT NULL,
    activate_at INTEGER NOT NULL,
    gone_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The head is a row of its own: numbers are never used twice, not even when the log is empty.
CREATE TABLE revocations (
    seq         INTEGER NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL CHECK (kind IN ('session', 'user_epoch', 'user_deleted', 'signing_key', 'api_key')),
    subject     TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    valid_until INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_by_until ON revocations (valid_until);
CREATE TABLE revocation_head (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    seq  INTEGER NOT NULL
) STRICT;
INSERT INTO revocation_head (only, seq) VALUES (1, 0);

CREATE TABLE audit (
    seq       INTEGER NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    prev_hash BLOB    NOT NULL,
    hash      BLOB    NOT NULL
) STRICT;

CREATE TABLE bootstrap (
    only       INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    token_hash BLOB    NOT NULL,
    made_at    INTEGER NOT NULL,
    spent_at   INTEGER NOT NULL
) STRICT;
