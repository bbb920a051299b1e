-- +goose Up
-- What came in and what became of it. What lists don't read stands last.
CREATE TABLE arrivals (
  id      BLOB NOT NULL PRIMARY KEY, -- UUIDv7: rows come in order
  graph   INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  outcome INTEGER NOT NULL,          -- engine.ArrivalOutcome
  reason  TEXT NOT NULL,
  detail  TEXT NOT NULL,
  run     BLOB,
  missed  INTEGER NOT NULL,
  method  TEXT NOT NULL,
  path    TEXT NOT NULL,
  query   TEXT NOT NULL,
  remote  TEXT NOT NULL,
  size    INTEGER NOT NULL,          -- of the body, -1: not known
  header  TEXT NOT NULL,             -- JSON, [[name, value], …]
  body    BLOB                       -- NULL: not kept
) STRICT, WITHOUT ROWID;
CREATE INDEX arrivals_graph ON arrivals(graph, id);
-- Most of what comes in is a run: the others are few, and looked for.
CREATE INDEX arrivals_outcome ON arrivals(outcome, id) WHERE outcome > 1;
