-- +goose Up
-- What requests with an Idempotency-Key were answered. Only the hash of a key is here.
CREATE TABLE receipts (
    owner   TEXT    NOT NULL,
    key     BLOB    NOT NULL CHECK (length(key) = 32),
    request BLOB    NOT NULL CHECK (length(request) = 32),
    answer  BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX receipts_of_owner ON receipts (owner, at, key);
CREATE INDEX receipts_by_age ON receipts (at);
