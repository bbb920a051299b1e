package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/tappet-dev/tappet/engine"
)

// keep writes the files of a run inside the open transaction.
func (s *Store) keep(e *engine.Keep) error {
	for _, f := range e.Files {
		if err := s.w.exec(&s.w.keep, e.Run[:], f.ID, f.Digest, f.Name, f.Type, f.Size); err != nil {
			return err
		}
	}
	return nil
}

// File implements engine.FileStore.
func (s *Store) File(ctx context.Context, run engine.RunID, id string) (engine.File, error) {
	f := engine.File{ID: id}
	err := s.read.QueryRowContext(ctx, `SELECT digest, name, type, size FROM files WHERE run = ? AND id = ?`, run[:], id).
		Scan(&f.Digest, &f.Name, &f.Type, &f.Size)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return f, &engine.Error{Kind: engine.NotFound, Op: "read file", Err: fmt.Errorf("the run has no file %.80q", id)}
	case err != nil:
		return f, fmt.Errorf("read file: %w", err)
	}
	return f, nil
}

// referredPage bounds the parameters of one statement.
const referredPage = 500

// Referred implements engine.FileStore.
func (s *Store) Referred(ctx context.Context, digests []string) ([]string, error) {
	var out []string
	for len(digests) > 0 {
		page := digests[:min(referredPage, len(digests))]
		digests = digests[len(page):]
		args := make([]any, len(page))
		for i, d := range page {
			args[i] = d
		}
		used, err := texts(s.read.QueryContext(ctx, `SELECT DISTINCT digest FROM files WHERE digest IN (?`+strings.Repeat(",?", len(page)-1)+`)`, args...))
		if err != nil {
			return nil, fmt.Errorf("look for files: %w", err)
		}
		out = append(out, used...)
	}
	return out, nil
}

// texts reads a query's one column.
func texts(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// DeleteRun implements engine.FileStore.
func (s *Store) DeleteRun(ctx context.Context, id engine.RunID) (digests []string, err error) {
	op := "delete run " + id.String()
	err = s.writing(ctx, func(ctx context.Context) error {
		digests, err = s.deleteRun(ctx, op, id)
		return err
	})
	var e *engine.Error
	if err != nil && !errors.As(err, &e) {
		err = fmt.Errorf("%s: %w", op, err)
	}
	return digests, err
}

func (s *Store) deleteRun(ctx context.Context, op string, id engine.RunID) ([]string, error) {
	tx, err := s.conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	var state int
	err = tx.QueryRowContext(ctx, `SELECT state FROM runs WHERE id = ?`, id[:]).Scan(&state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, &engine.Error{Kind: engine.NotFound, Op: op, Err: errors.New("there is no such run")}
	case err != nil:
		return nil, err
	case state < len(states) && !states[max(0, state)].Ended():
		return nil, &engine.Error{Kind: engine.Conflict, Op: op, Problems: []engine.Problem{{
			Code: "runs_open", Message: "the run hasn't ended", Suggestion: "cancel it first",
		}}}
	}
	digests, err := texts(tx.QueryContext(ctx, `SELECT DISTINCT digest FROM files WHERE run = ?`, id[:]))
	if err != nil {
		return nil, err
	}
	for _, q := range []string{`DELETE FROM files WHERE run = ?`, `DELETE FROM journal WHERE run = ?`, `DELETE FROM runs WHERE id = ?`} {
		if _, err := tx.ExecContext(ctx, q, id[:]); err != nil {
			return nil, err
		}
	}
	return digests, tx.Commit()
}
