-- +goose Up
-- Ids are texts that others have made (UUIDs, and blob ids that begin with their epoch), ordered by their bytes.
-- NULL times stand for never.

-- One life of one writer, and the durable intent of all its small uploads.
CREATE TABLE epochs (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    state      text             NOT NULL CHECK (state IN ('open', 'fenced', 'closed')),
    beats      bigint           NOT NULL,
    settled    bigint           NOT NULL,
    changed_at timestamptz(6)   NOT NULL
);

-- verified_at -infinity: never.
CREATE TABLE blobs (
    id          text COLLATE "C" NOT NULL PRIMARY KEY,
    owner       text COLLATE "C" NOT NULL,
    state       text             NOT NULL CHECK (state IN ('pending', 'live', 'dead', 'deleting', 'tombstone')),
    size        bigint           NOT NULL CHECK (size >= 0),
    sha256      bytea            NOT NULL CHECK (length(sha256) = 32),
    reserved    bigint           NOT NULL CHECK (reserved >= 0),
    changed_at  timestamptz(6)   NOT NULL,
    verified_at timestamptz(6)   NOT NULL,
    flaw        text             NOT NULL CHECK (flaw IN ('', 'corrupt', 'missing', 'infected'))
);

-- What the reaper looks for is rare beside what lives: an upload pays for none of the first two.
CREATE INDEX blobs_pending ON blobs (id) WHERE state = 'pending';
CREATE INDEX blobs_dying ON blobs (state, changed_at, id) WHERE state IN ('dead', 'deleting', 'tombstone');
CREATE INDEX blobs_to_verify ON blobs (verified_at, id) WHERE state = 'live';
CREATE INDEX blobs_flawed ON blobs (flaw, size) WHERE state = 'live' AND flaw <> '';

-- The row of an owner is the lock of everything that is theirs: whoever changes any of it has it first. Room is left in
-- the pages, so that the sums are written over in place and no index knows.
CREATE TABLE owners (
    id        text COLLATE "C" NOT NULL PRIMARY KEY,
    bytes     bigint           NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    reserved  bigint           NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    files     bigint           NOT NULL DEFAULT 0 CHECK (files >= 0),
    versions  bigint           NOT NULL DEFAULT 0 CHECK (versions >= 0),
    erased_at timestamptz(6)
) WITH (fillfactor = 50);

CREATE TABLE files (
    id           text COLLATE "C" NOT NULL PRIMARY KEY,
    owner        text COLLATE "C" NOT NULL,
    name         text             NOT NULL,
    fold         text COLLATE "C" NOT NULL,
    content_type text             NOT NULL,
    size         bigint           NOT NULL,
    sha256       bytea            NOT NULL,
    version      bigint           NOT NULL,
    blob         text COLLATE "C" NOT NULL,
    metadata     jsonb            NOT NULL,
    created_at   timestamptz(6)   NOT NULL,
    content_at   timestamptz(6)   NOT NULL,
    updated_at   timestamptz(6)   NOT NULL,
    expires_at   timestamptz(6),
    deleted_at   timestamptz(6),
    revision     bigint           NOT NULL
);

CREATE INDEX files_by_creation ON files (owner, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX files_by_name ON files (owner, fold, id) WHERE deleted_at IS NULL;
CREATE INDEX files_by_size ON files (owner, size, id) WHERE deleted_at IS NULL;
CREATE INDEX files_expiring ON files (expires_at) WHERE deleted_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX files_in_trash ON files (owner, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX files_trashed ON files (deleted_at) WHERE deleted_at IS NOT NULL;

-- Versions of one file may share a blob.
CREATE TABLE versions (
    file         text COLLATE "C" NOT NULL REFERENCES files (id),
    number       bigint           NOT NULL,
    blob         text COLLATE "C" NOT NULL REFERENCES blobs (id),
    size         bigint           NOT NULL,
    sha256       bytea            NOT NULL,
    content_type text             NOT NULL,
    created_at   timestamptz(6)   NOT NULL,
    PRIMARY KEY (file, number)
);

CREATE INDEX versions_by_blob ON versions (blob);

-- The outbox. Its numbers do not come from a sequence, which hands them out long before the commit, but from the one row of
-- event_counter, which is held from there to the commit: a reader that has seen a number has seen all below it.
CREATE TABLE events (
    seq     bigint           NOT NULL PRIMARY KEY,
    kind    text             NOT NULL,
    owner   text COLLATE "C" NOT NULL,
    file    text             NOT NULL,
    version bigint           NOT NULL,
    link    text             NOT NULL,
    at      timestamptz(6)   NOT NULL
);

CREATE INDEX events_of_owner ON events (owner, seq);

CREATE TABLE event_counter (
    single boolean NOT NULL PRIMARY KEY CHECK (single),
    last   bigint  NOT NULL
) WITH (fillfactor = 10);

INSERT INTO event_counter (single, last) VALUES (true, 0);

CREATE TABLE log_position (
    single boolean NOT NULL PRIMARY KEY CHECK (single),
    seq    bigint  NOT NULL
);

-- Resumable uploads: the intent, how far the bytes are durable, and the state of their hash. length -1 is not known yet.
CREATE TABLE uploads (
    id           text COLLATE "C" NOT NULL PRIMARY KEY,
    owner        text COLLATE "C" NOT NULL,
    state        text             NOT NULL CHECK (state IN ('open', 'done', 'joined')),
    part         boolean          NOT NULL,
    joins        text[]           NOT NULL,
    joined_into  text             NOT NULL,
    name         text             NOT NULL,
    content_type text             NOT NULL,
    metadata     jsonb            NOT NULL,
    file_expires timestamptz(6),
    new_name     boolean          NOT NULL,
    expected     bytea            CHECK (expected IS NULL OR length(expected) = 32),
    note         text             NOT NULL,
    length       bigint           NOT NULL CHECK (length >= -1),
    size         bigint           NOT NULL CHECK (size >= 0),
    sealed       boolean          NOT NULL,
    hash         bytea,
    reserved     bigint           NOT NULL CHECK (reserved >= 0),
    file         text             NOT NULL,
    created_at   timestamptz(6)   NOT NULL,
    expires_at   timestamptz(6)   NOT NULL,
    revision     bigint           NOT NULL
);

CREATE INDEX uploads_by_owner ON uploads (owner, id);
CREATE INDEX uploads_open ON uploads (owner) WHERE state = 'open';
CREATE INDEX uploads_expiring ON uploads (expires_at);

-- Which process works on an upload now, until when by this server's clock. A crash of the server empties an unlogged
-- table: nobody works on anything then. The truth is the revision of the upload's row; this only makes the latest win.
CREATE UNLOGGED TABLE upload_holds (
    upload text COLLATE "C" NOT NULL PRIMARY KEY,
    holder text             NOT NULL,
    until  timestamptz(6)   NOT NULL,
    wanted boolean          NOT NULL
);

-- A link opens by its token, of which only the hash is here.
CREATE TABLE links (
    id            text COLLATE "C" NOT NULL PRIMARY KEY,
    file          text COLLATE "C" NOT NULL REFERENCES files (id),
    owner         text COLLATE "C" NOT NULL,
    hash          bytea            NOT NULL UNIQUE CHECK (length(hash) = 32),
    password      text             NOT NULL,
    max_downloads bigint           NOT NULL,
    downloads     bigint           NOT NULL CHECK (max_downloads = 0 OR downloads <= max_downloads),
    failures      bigint           NOT NULL,
    failed_at     timestamptz(6),
    created_at    timestamptz(6)   NOT NULL,
    expires_at    timestamptz(6)   NOT NULL
);

CREATE INDEX links_of_file ON links (file, created_at, id);
CREATE INDEX links_expiring ON links (expires_at);

-- What requests with an Idempotency-Key were answered. Only the hash of a key is here.
CREATE TABLE receipts (
    owner   text COLLATE "C" NOT NULL,
    key     bytea            NOT NULL CHECK (length(key) = 32),
    request bytea            NOT NULL CHECK (length(request) = 32),
    answer  bytea            NOT NULL,
    at      timestamptz(6)   NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX receipts_of_owner ON receipts (owner, at, key);
CREATE INDEX receipts_by_age ON receipts (at);

-- How far each webhook has come in the outbox.
CREATE TABLE webhooks (
    endpoint   text COLLATE "C" NOT NULL PRIMARY KEY,
    position   bigint           NOT NULL,
    stopped_at timestamptz(6)
);

-- Events on their way. next_at NULL: not tried yet. Ids only: what they are about is looked up when it is told.
CREATE TABLE webhook_deliveries (
    endpoint  text COLLATE "C" NOT NULL REFERENCES webhooks (endpoint),
    seq       bigint           NOT NULL,
    id        text             NOT NULL,
    kind      text             NOT NULL,
    owner     text             NOT NULL,
    file      text             NOT NULL,
    version   bigint           NOT NULL,
    link      text             NOT NULL,
    at        timestamptz(6)   NOT NULL,
    attempts  integer          NOT NULL,
    next_at   timestamptz(6),
    parked_at timestamptz(6),
    result    text             NOT NULL,
    status    integer          NOT NULL,
    PRIMARY KEY (endpoint, seq)
);

CREATE INDEX webhook_deliveries_fresh ON webhook_deliveries (endpoint, seq) WHERE parked_at IS NULL AND next_at IS NULL;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_at, seq) WHERE parked_at IS NULL AND next_at IS NOT NULL;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (endpoint, seq) WHERE parked_at IS NULL;
CREATE INDEX webhook_deliveries_parked ON webhook_deliveries (endpoint, seq, parked_at) WHERE parked_at IS NOT NULL;

-- Keys that all processes of the service share and clients never see.
CREATE TABLE shared_keys (
    name  text  NOT NULL PRIMARY KEY,
    value bytea NOT NULL
);

-- Which files of other systems have come in, so that none comes twice. A row outlives its file.
CREATE TABLE imported_files (
    source     text COLLATE "C" NOT NULL,
    foreign_id text COLLATE "C" NOT NULL,
    owner      text COLLATE "C" NOT NULL,
    file       text             NOT NULL,
    at         timestamptz(6)   NOT NULL,
    PRIMARY KEY (source, foreign_id)
);

CREATE INDEX imported_files_of_owner ON imported_files (owner);
