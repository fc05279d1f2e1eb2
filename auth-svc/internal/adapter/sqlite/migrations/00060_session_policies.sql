-- +goose Up
-- Which SessionPolicy a session follows; empty for the one of everybody. Sessions of before follow that.
ALTER TABLE sessions ADD COLUMN policy TEXT NOT NULL DEFAULT '';
