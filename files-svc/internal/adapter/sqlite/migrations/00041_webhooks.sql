-- +goose Up
-- How far each webhook has come in the outbox.
CREATE TABLE webhooks (
    endpoint   TEXT    NOT NULL PRIMARY KEY,
    position   INTEGER NOT NULL,
    stopped_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events on their way. next_at 0: not tried yet. Ids only: what they are about is looked up when it is told.
CREATE TABLE webhook_deliveries (
    endpoint  TEXT    NOT NULL REFERENCES webhooks (endpoint),
    seq       INTEGER NOT NULL,
    id        TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    file      TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    link      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    attempts  INTEGER NOT NULL,
    next_at   INTEGER NOT NULL,
    parked_at INTEGER NOT NULL,
    result    TEXT    NOT NULL,
    status    INTEGER NOT NULL,
    PRIMARY KEY (endpoint, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_at, seq) WHERE parked_at = 0;
CREATE INDEX webhook_deliveries_parked ON webhook_deliveries (endpoint, seq, parked_at) WHERE parked_at <> 0;
