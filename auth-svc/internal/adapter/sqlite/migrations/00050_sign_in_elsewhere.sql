-- +goose Up
-- Who people are at identity providers: nobody there is two people here, and nobody here is two people there.
CREATE TABLE external_identities (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider     TEXT    NOT NULL,
    issuer       TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    email        TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    UNIQUE (issuer, subject),
    UNIQUE (user_id, issuer)
) STRICT, WITHOUT ROWID;

-- Sign-ins on their way through a browser. What they are about is sealed; a used one has no row.
CREATE TABLE sign_in_handoffs (
    id         TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_handoffs_by_expiry ON sign_in_handoffs (expires_at);
CREATE INDEX sign_in_handoffs_by_kind ON sign_in_handoffs (kind);
