-- +goose Up
-- Resumable uploads: the intent, how far the bytes are durable, and the state of their hash. length -1 is not known yet.
CREATE TABLE uploads (
    id           TEXT    NOT NULL PRIMARY KEY,
    owner        TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('open', 'done', 'joined')),
    part         INTEGER NOT NULL CHECK (part IN (0, 1)),
    joins        TEXT    NOT NULL,
    joined_into  TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    metadata     TEXT    NOT NULL,
    file_expires INTEGER NOT NULL,
    new_name     INTEGER NOT NULL CHECK (new_name IN (0, 1)),
    expected     BLOB    CHECK (expected IS NULL OR length(expected) = 32),
    note         TEXT    NOT NULL,
    length       INTEGER NOT NULL CHECK (length >= -1),
    size         INTEGER NOT NULL CHECK (size >= 0),
    sealed       INTEGER NOT NULL CHECK (sealed IN (0, 1)),
    hash         BLOB,
    reserved     INTEGER NOT NULL CHECK (reserved >= 0),
    file         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX uploads_by_owner ON uploads (owner, id);
CREATE INDEX uploads_open ON uploads (owner) WHERE state = 'open';
CREATE INDEX uploads_expiring ON uploads (expires_at);
