-- +goose Up
CREATE TABLE graphs (
  id           INTEGER PRIMARY KEY,
  name         TEXT,               -- NULL once deleted: the name is free again
  old_name     TEXT,               -- of a deleted graph
  description  TEXT NOT NULL,
  labels       TEXT NOT NULL,      -- JSON object
  draft        BLOB NOT NULL,
  draft_format INTEGER NOT NULL,   -- graph.Format
  version      INTEGER NOT NULL,   -- the newest, 0: none
  active       INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,   -- all times: milliseconds since 1970 UTC
  updated_at   INTEGER NOT NULL,
  deleted_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX graphs_name ON graphs(name) WHERE name IS NOT NULL;

CREATE TABLE versions (
  graph        INTEGER NOT NULL,
  number       INTEGER NOT NULL,
  document     BLOB NOT NULL,      -- canonical JSON
  digest       TEXT NOT NULL,
  evaluator    INTEGER NOT NULL,
  specs        BLOB NOT NULL,      -- JSON, engine.Specs
  published_at INTEGER NOT NULL,
  PRIMARY KEY (graph, number)
) STRICT, WITHOUT ROWID;

-- One row a run. What lists don't read stands last. The record that ended the
-- run is kept here and not in the journal: one row less for each run.
CREATE TABLE runs (
  id          BLOB NOT NULL PRIMARY KEY, -- UUIDv7: rows come in order
  graph       INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  state       INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  ended_at    INTEGER,
  key         TEXT,
  error       TEXT,                      -- JSON, machine.Error
  last_path   TEXT,                      -- of the record that ended it
  last_kind   INTEGER,
  last_at     INTEGER,
  event       BLOB NOT NULL,             -- JSON, as it was accepted
  last_body   BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_graph ON runs(graph, id);
CREATE INDEX runs_open ON runs(id) WHERE state < 3;

CREATE TABLE journal (
  run  BLOB NOT NULL,
  path TEXT NOT NULL,
  kind INTEGER NOT NULL,                 -- engine.RecordKind
  seq  INTEGER NOT NULL,
  at   INTEGER NOT NULL,
  body BLOB,
  PRIMARY KEY (run, path, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
  graph INTEGER NOT NULL,
  key   TEXT NOT NULL,
  run   BLOB NOT NULL,
  PRIMARY KEY (graph, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
  graph   INTEGER NOT NULL,
  trigger TEXT NOT NULL,
  cursor  TEXT NOT NULL,
  PRIMARY KEY (graph, trigger)
) STRICT, WITHOUT ROWID;
