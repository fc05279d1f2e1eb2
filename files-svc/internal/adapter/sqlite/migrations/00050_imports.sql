-- +goose Up
-- Which files of other systems have come in, so that none comes twice. A row outlives its file.
CREATE TABLE imported_files (
    source     TEXT    NOT NULL,
    foreign_id TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    file       TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (source, foreign_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX imported_files_of_owner ON imported_files (owner);
