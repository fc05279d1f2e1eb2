-- +goose Up
-- Where a store of bytes that has no growing files keeps what of an upload is durable, in its own words.
ALTER TABLE uploads ADD COLUMN parts BLOB;
