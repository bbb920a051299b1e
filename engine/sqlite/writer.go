package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// A writer is the one connection that writes, below database/sql: its
// statements run some thousand times a second, and each of database/sql's
// layers takes a lock and makes garbage.
type writer struct {
	conn driver.Conn
	args []driver.NamedValue

	begin, commit, rollback                     statement
	beginRun, key, keyRun, append, finish, move statement
	finishWith, keep, receive                   statement
}

type statement struct {
	sql  string
	stmt driver.Stmt
}

func newWriter(ctx context.Context, conn any) (*writer, error) {
	c, ok := conn.(driver.Conn)
	if !ok {
		return nil, fmt.Errorf("the driver's connection is a %T", conn)
	}
	w := &writer{
		conn:       c,
		begin:      statement{sql: `BEGIN IMMEDIATE`},
		commit:     statement{sql: `COMMIT`},
		rollback:   statement{sql: `ROLLBACK`},
		beginRun:   statement{sql: `INSERT INTO runs(id, graph, version, state, attempt, accepted_at, key, event) VALUES(?,?,?,?,?,?,?,?)`},
		key:        statement{sql: `INSERT INTO keys(graph, key, run, until) VALUES(?,?,?,?) ON CONFLICT(graph, key) DO UPDATE SET run = excluded.run, until = excluded.until WHERE keys.until <= ?5`},
		keyRun:     statement{sql: `SELECT run FROM keys WHERE graph = ? AND key = ?`},
		append:     statement{sql: `INSERT INTO journal(run, path, kind, seq, at, body) VALUES(?,?,?,?,?,?) ON CONFLICT DO NOTHING`},
		finish:     statement{sql: `UPDATE runs SET state = ?, ended_at = ?, error = ? WHERE id = ? AND state < 3`},
		finishWith: statement{sql: `UPDATE runs SET state = ?, ended_at = ?, error = ?, last_path = ?, last_kind = ?, last_at = ?, last_body = ? WHERE id = ? AND state < 3`},
		keep:       statement{sql: `INSERT INTO files(run, id, digest, name, type, size) SELECT ?1,?2,?3,?4,?5,?6 WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?1)`},
		receive:    statement{sql: `INSERT INTO arrivals(id, graph, at, outcome, reason, detail, run, missed, method, path, query, remote, size, header, body) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`},
		move:       statement{sql: `INSERT INTO marks(graph, trigger, cursor) VALUES(?,?,?) ON CONFLICT(graph, trigger) DO UPDATE SET cursor = excluded.cursor`},
	}
	p, ok := conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, fmt.Errorf("the driver's connection, a %T, prepares no statements", conn)
	}
	for _, s := range w.all() {
		st, err := p.PrepareContext(ctx, s.sql)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare %s: %w", s.sql, err), w.close())
		}
		s.stmt = st
	}
	return w, nil
}

func (w *writer) all() []*statement {
	return []*statement{&w.begin, &w.commit, &w.rollback, &w.beginRun, &w.key, &w.keyRun, &w.append, &w.finish, &w.finishWith, &w.keep, &w.receive, &w.move}
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.all() {
		if s.stmt != nil {
			errs = append(errs, s.stmt.Close())
			s.stmt = nil
		}
	}
	return errors.Join(errs...)
}

// bind puts values into the writer's own list: integers as int64.
func (w *writer) bind(args []any) []driver.NamedValue {
	w.args = w.args[:0]
	for i, a := range args {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return w.args
}

func (w *writer) run(s *statement, args []any) (driver.Result, error) {
	x, ok := s.stmt.(driver.StmtExecContext)
	if !ok {
		return nil, fmt.Errorf("the driver's statement is a %T", s.stmt)
	}
	return x.ExecContext(context.Background(), w.bind(args))
}

func (w *writer) exec(s *statement, args ...any) error {
	_, err := w.run(s, args)
	return err
}

func (w *writer) changes(s *statement, args ...any) (int64, error) {
	r, err := w.run(s, args)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// bytes gives the first column of the first row.
func (w *writer) bytes(s *statement, args ...any) ([]byte, error) {
	q, ok := s.stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, fmt.Errorf("the driver's statement is a %T", s.stmt)
	}
	rows, err := q.QueryContext(context.Background(), w.bind(args))
	if err != nil {
		return nil, err
	}
	row := make([]driver.Value, len(rows.Columns()))
	if err = rows.Next(row); errors.Is(err, io.EOF) {
		err = errors.New("the row that was in the way is gone")
	}
	b, _ := row[0].([]byte)
	return append([]byte(nil), b...), errors.Join(err, rows.Close())
}
