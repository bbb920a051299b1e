-- +goose Up
-- What triggers keep beside their cursors.
CREATE TABLE states (
  graph   INTEGER NOT NULL,
  trigger TEXT NOT NULL,
  key     TEXT NOT NULL,
  value   BLOB NOT NULL,
  PRIMARY KEY (graph, trigger, key)
) STRICT, WITHOUT ROWID;
