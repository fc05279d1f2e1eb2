-- +goose Up
-- What a hash says of its own cost, so that the kinds there are can be listed. Rows of before have none until their next
-- change: their hashes are our own.
ALTER TABLE users ADD COLUMN hash_kind TEXT NOT NULL DEFAULT '';
CREATE INDEX users_by_hash_kind ON users (hash_kind);

-- Who somebody was in the system they came from.
CREATE TABLE foreign_ids (
    source     TEXT NOT NULL,
    foreign_id TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (source, foreign_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX foreign_ids_by_user ON foreign_ids (user_id);

-- How far the import from each source has come: so many lines and bytes, whose SHA-256 is digest.
CREATE TABLE imports (
    source       TEXT    NOT NULL PRIMARY KEY,
    version      INTEGER NOT NULL,
    lines        INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    digest       BLOB    NOT NULL,
    created      INTEGER NOT NULL,
    present      INTEGER NOT NULL,
    skipped      INTEGER NOT NULL,
    refused      INTEGER NOT NULL,
    last_refused BLOB    NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
