-- +goose Up
-- The files of runs; their bytes are in the folder blobs.
CREATE TABLE files (
  run    BLOB NOT NULL,
  id     TEXT NOT NULL,
  digest TEXT NOT NULL, -- SHA-256, hex
  name   TEXT NOT NULL,
  type   TEXT NOT NULL,
  size   INTEGER NOT NULL,
  PRIMARY KEY (run, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_digest ON files(digest);
