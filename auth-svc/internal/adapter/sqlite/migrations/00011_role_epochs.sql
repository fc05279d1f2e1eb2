-- +goose Up
ALTER TABLE roles ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- The same table, whose kinds have one more.
CREATE TABLE revocations_new (
    seq         INTEGER NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL CHECK (kind IN ('session', 'user_epoch', 'user_deleted', 'signing_key', 'api_key', 'role_epoch')),
    subject     TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    valid_until INTEGER NOT NULL
) STRICT;
INSERT INTO revocations_new SELECT seq, kind, subject, at, valid_until FROM revocations;
DROP TABLE revocations;
ALTER TABLE revocations_new RENAME TO revocations;
CREATE INDEX revocations_by_until ON revocations (valid_until);
