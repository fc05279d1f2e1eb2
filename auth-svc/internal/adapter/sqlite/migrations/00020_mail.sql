-- +goose Up
ALTER TABLE users ADD COLUMN email_verified_at INTEGER NOT NULL DEFAULT 0; -- 0 while nobody has shown to read that mail

-- How often something has happened: failed passwords, mails asked for. The key is a MAC, so that the row does not tell
-- whose.
CREATE TABLE counters (
    key          BLOB    NOT NULL PRIMARY KEY,
    count        INTEGER NOT NULL,
    since        INTEGER NOT NULL,
    locked_until INTEGER NOT NULL,
    valid_until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_by_until ON counters (valid_until);

-- What a person has come in from before.
CREATE TABLE devices (
    user_id TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device  BLOB    NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, device)
) STRICT, WITHOUT ROWID;

-- At most one living token for each person and purpose.
CREATE TABLE mail_tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT    NOT NULL,
    email_key  TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (user_id, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_tokens_by_expiry ON mail_tokens (expires_at);

-- Mails to be sent. A request to recover an account has no person yet: looking for one is left to whoever sends.
CREATE TABLE outbox (
    id              TEXT    NOT NULL PRIMARY KEY,
    user_id         TEXT    REFERENCES users (id) ON DELETE CASCADE,
    kind            TEXT    NOT NULL,
    recipient       TEXT    NOT NULL,
    identifier_kind TEXT    NOT NULL,
    identifier      TEXT    NOT NULL,
    user_agent      TEXT    NOT NULL,
    address         TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    due_at          INTEGER NOT NULL,
    tries           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_by_due ON outbox (due_at, id);
CREATE INDEX outbox_by_user ON outbox (user_id);
