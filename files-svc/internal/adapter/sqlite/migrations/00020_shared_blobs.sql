-- +goose Up
-- A restored version names the blob of the one it restores, so that versions of one file may share a blob.
CREATE TABLE versions_shared (
    file         TEXT    NOT NULL REFERENCES files (id),
    number       INTEGER NOT NULL,
    blob         TEXT    NOT NULL REFERENCES blobs (id),
    size         INTEGER NOT NULL,
    sha256       BLOB    NOT NULL,
    content_type TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (file, number)
) STRICT, WITHOUT ROWID;

INSERT INTO versions_shared (file, number, blob, size, sha256, content_type, created_at)
SELECT file, number, blob, size, sha256, content_type, created_at FROM versions;

DROP TABLE versions;
ALTER TABLE versions_shared RENAME TO versions;

-- Lets the row of a blob go only after those of its versions.
CREATE INDEX versions_by_blob ON versions (blob);
