-- +goose Up
-- Times are microseconds since 1970, UTC; 0 stands for never.

-- One life of one writer, and the durable intent of all its small uploads.
CREATE TABLE epochs (
    id         TEXT    NOT NULL PRIMARY KEY,
    state      TEXT    NOT NULL CHECK (state IN ('open', 'fenced', 'closed')),
    beats      INTEGER NOT NULL,
    settled    INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Ids begin with the epoch and count up, so that rows are added at the end and those of an epoch stand together.
CREATE TABLE blobs (
    id         TEXT    NOT NULL PRIMARY KEY,
    owner      TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'live', 'dead', 'deleting', 'tombstone')),
    size       INTEGER NOT NULL CHECK (size >= 0),
    sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),
    reserved   INTEGER NOT NULL CHECK (reserved >= 0),
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the reaper looks for is rare beside what lives: an upload pays for none of these.
CREATE INDEX blobs_pending ON blobs (id) WHERE state = 'pending';
CREATE INDEX blobs_dying ON blobs (state, changed_at, id) WHERE state IN ('dead', 'deleting', 'tombstone');

CREATE TABLE owners (
    id        TEXT    NOT NULL PRIMARY KEY,
    bytes     INTEGER NOT NULL CHECK (bytes >= 0),
    reserved  INTEGER NOT NULL CHECK (reserved >= 0),
    files     INTEGER NOT NULL CHECK (files >= 0),
    versions  INTEGER NOT NULL CHECK (versions >= 0),
    erased_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE files (
    id           TEXT    NOT NULL PRIMARY KEY,
    owner        TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    fold         TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    size         INTEGER NOT NULL,
    sha256       BLOB    NOT NULL,
    version      INTEGER NOT NULL,
    blob         TEXT    NOT NULL,
    metadata     TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    content_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    deleted_at   INTEGER NOT NULL,
    revision     INTEGER NOT NULL
) STRICT;

CREATE INDEX files_by_creation ON files (owner, created_at, id) WHERE deleted_at = 0;
CREATE INDEX files_by_name ON files (owner, fold, id) WHERE deleted_at = 0;
CREATE INDEX files_by_size ON files (owner, size, id) WHERE deleted_at = 0;
CREATE INDEX files_expiring ON files (expires_at) WHERE deleted_at = 0 AND expires_at <> 0;
CREATE INDEX files_in_trash ON files (owner, deleted_at, id) WHERE deleted_at <> 0;
CREATE INDEX files_trashed ON files (deleted_at) WHERE deleted_at <> 0;

-- A blob belongs to one version: the index holds it to that, and lets the blob's row go only after the version's.
CREATE TABLE versions (
    file         TEXT    NOT NULL REFERENCES files (id),
    number       INTEGER NOT NULL,
    blob         TEXT    NOT NULL UNIQUE REFERENCES blobs (id),
    size         INTEGER NOT NULL,
    sha256       BLOB    NOT NULL,
    content_type TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (file, number)
) STRICT, WITHOUT ROWID;

-- The outbox. One writer commits at a time, so seq is in the order of commits.
CREATE TABLE events (
    seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind    TEXT    NOT NULL,
    owner   TEXT    NOT NULL,
    file    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE TABLE log_position (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    seq  INTEGER NOT NULL
) STRICT;
