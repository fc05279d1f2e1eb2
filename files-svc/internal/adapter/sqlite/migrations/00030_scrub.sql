-- +goose Up
-- When the bytes of a blob last were what its row says, and what is wrong with them. Bytes are hashed on their way in.
ALTER TABLE blobs ADD COLUMN verified_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN flaw TEXT NOT NULL DEFAULT '' CHECK (flaw IN ('', 'corrupt', 'missing', 'infected'));
UPDATE blobs SET verified_at = changed_at WHERE state = 'live';

CREATE INDEX blobs_to_verify ON blobs (verified_at, id) WHERE state = 'live';
CREATE INDEX blobs_flawed ON blobs (flaw, size) WHERE state = 'live' AND flaw <> '';
