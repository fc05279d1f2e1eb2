-- +goose Up
-- A link opens by its token, of which only the hash is here.
CREATE TABLE links (
    id            TEXT    NOT NULL PRIMARY KEY,
    file          TEXT    NOT NULL REFERENCES files (id),
    owner         TEXT    NOT NULL,
    hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    password      TEXT    NOT NULL,
    max_downloads INTEGER NOT NULL,
    downloads     INTEGER NOT NULL CHECK (max_downloads = 0 OR downloads <= max_downloads),
    failures      INTEGER NOT NULL,
    failed_at     INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX links_of_file ON links (file, created_at, id);
CREATE INDEX links_expiring ON links (expires_at);

ALTER TABLE events ADD COLUMN link TEXT NOT NULL DEFAULT '';
CREATE INDEX events_of_owner ON events (owner, seq);
