-- +goose Up
-- Guesses at passwords under way, at all replicas: a row lives as long as a hash takes, so it is not worth the journal. A crash
-- empties the table, and cuts every guess as well.
CREATE UNLOGGED TABLE guesses (
    key         bytea          NOT NULL,
    guess       uuid           NOT NULL,
    valid_until timestamptz(6) NOT NULL,
    PRIMARY KEY (key, guess)
);
CREATE INDEX guesses_by_end ON guesses (valid_until);
