-- +goose Up
-- Who follows the revocation log, at which replica, and how far: written anew each second, so not worth the journal. A crash
-- empties it, and cuts every stream as well.
CREATE UNLOGGED TABLE followers (
    replica uuid           NOT NULL,
    name    text           COLLATE "C" NOT NULL,
    acked   bigint         NOT NULL,
    seen_at timestamptz(6) NOT NULL,
    PRIMARY KEY (replica, name)
);
