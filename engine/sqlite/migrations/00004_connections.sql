-- +goose Up
-- Secrets, connections and authorizations under way. What is sealed opens with
-- the keys beside this file alone (package seal): "secrets/<name>",
-- "connections/<id>" and "oauth/<key>" are its places.
CREATE TABLE secrets (
  name       TEXT NOT NULL PRIMARY KEY,
  sealed     BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE connections (
  id         TEXT NOT NULL PRIMARY KEY, -- UUIDv7
  name       TEXT NOT NULL UNIQUE,
  kind       TEXT NOT NULL,
  title      TEXT NOT NULL,
  config     BLOB NOT NULL,             -- JSON object, nothing secret in it
  hosts      TEXT NOT NULL,             -- JSON list
  sealed     BLOB NOT NULL,
  state      TEXT NOT NULL,
  message    TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
  key        TEXT NOT NULL PRIMARY KEY, -- a hash of what the browser brings
  sealed     BLOB NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
