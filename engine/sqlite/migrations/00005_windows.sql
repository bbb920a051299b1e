-- +goose Up
-- When a key is forgotten; NULL: never.
ALTER TABLE keys ADD COLUMN until INTEGER;
CREATE INDEX keys_until ON keys(until) WHERE until IS NOT NULL;
