-- +goose Up
-- The order in which people are listed.
CREATE INDEX users_by_age ON users (created_at, id);
