package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/tappet-dev/tappet/engine"
)

// exec writes outside of Commit's transactions.
func (s *Store) exec(ctx context.Context, query string, args ...any) (res sql.Result, err error) {
	err = s.writing(ctx, func(ctx context.Context) error {
		res, err = s.conn.ExecContext(ctx, query, args...)
		return err
	})
	return res, err
}

// writing gives f the connection that writes. Its ctx isn't cut short: cut,
// database/sql and the driver end the statement in goroutines of their own,
// which would still be using the connection when Commit is.
func (s *Store) writing(ctx context.Context, f func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return errors.New("the store is closed")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f(context.WithoutCancel(ctx))
}

func conflict(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == lib.SQLITE_CONSTRAINT_UNIQUE || e.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY)
}

func nameTaken(op, name string) error {
	return &engine.Error{Kind: engine.Conflict, Op: op, Problems: []engine.Problem{{
		Pointer: "/name", Code: "name_taken", Message: fmt.Sprintf("there is a graph named %q already", name),
		Suggestion: "choose another name, or change that graph's draft",
	}}}
}

func noGraph(op string, name any) error {
	return &engine.Error{Kind: engine.NotFound, Op: op, Err: fmt.Errorf("there is no graph %.100q", fmt.Sprint(name))}
}

// CreateGraph implements engine.GraphStore.
func (s *Store) CreateGraph(ctx context.Context, g engine.StoredGraph) (engine.GraphID, error) {
	op := "create graph " + g.Name
	labels, err := json.Marshal(g.Labels)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	res, err := s.exec(ctx, `INSERT INTO graphs(name, description, labels, draft, draft_format, version, active, created_at, updated_at) VALUES(?,?,?,?,?,0,0,?,?)`,
		g.Name, g.Description, string(labels), g.Draft, int(g.DraftFormat), g.CreatedAt.UnixMilli(), g.UpdatedAt.UnixMilli())
	if conflict(err) {
		return 0, nameTaken(op, g.Name)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	return engine.GraphID(id), nil
}

// UpdateGraph implements engine.GraphStore.
func (s *Store) UpdateGraph(ctx context.Context, g engine.StoredGraph) error {
	op := "save graph " + g.Name
	labels, err := json.Marshal(g.Labels)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	res, err := s.exec(ctx, `UPDATE graphs SET name = ?, description = ?, labels = ?, draft = ?, draft_format = ?, updated_at = ? WHERE id = ? AND name IS NOT NULL`,
		g.Name, g.Description, string(labels), g.Draft, int(g.DraftFormat), g.UpdatedAt.UnixMilli(), int64(g.ID))
	if conflict(err) {
		return nameTaken(op, g.Name)
	}
	return one(res, err, op, g.Name)
}

// one checks that a statement has met one row.
func one(res sql.Result, err error, op string, name any) error {
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if n == 0 {
		return noGraph(op, name)
	}
	return nil
}

const (
	graphColumns = `id, coalesce(name, old_name), description, labels, draft, draft_format, version, active, created_at, updated_at`
	// listColumns are graphColumns without the draft, which may have a megabyte.
	listColumns = `id, name, description, labels, NULL, draft_format, version, active, created_at, updated_at`
)

func scanGraph(row interface{ Scan(...any) error }) (engine.StoredGraph, error) {
	var (
		g                engine.StoredGraph
		labels           string
		created, updated int64
	)
	if err := row.Scan(&g.ID, &g.Name, &g.Description, &labels, &g.Draft, &g.DraftFormat, &g.Version, &g.Active, &created, &updated); err != nil {
		return g, err
	}
	if err := json.Unmarshal([]byte(labels), &g.Labels); err != nil {
		return g, fmt.Errorf("labels: %w", err)
	}
	g.CreatedAt, g.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	return g, nil
}

// GraphByName implements engine.GraphStore.
func (s *Store) GraphByName(ctx context.Context, name string) (engine.StoredGraph, error) {
	return s.graph(ctx, "read graph", `name = ?`, name)
}

// GraphByID implements engine.GraphStore; it finds deleted graphs too.
func (s *Store) GraphByID(ctx context.Context, id engine.GraphID) (engine.StoredGraph, error) {
	return s.graph(ctx, "read graph", `id = ?`, int64(id))
}

func (s *Store) graph(ctx context.Context, op, where string, arg any) (engine.StoredGraph, error) {
	g, err := scanGraph(s.read.QueryRowContext(ctx, `SELECT `+graphColumns+` FROM graphs WHERE `+where, arg))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return g, noGraph(op, arg)
	case err != nil:
		return g, fmt.Errorf("%s %v: %w", op, arg, err)
	}
	return g, nil
}

// Graphs implements engine.GraphStore. The cursor is the last name.
func (s *Store) Graphs(ctx context.Context, q engine.GraphQuery) (engine.GraphPage, error) {
	var page engine.GraphPage
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	where, args := []string{"name IS NOT NULL", "name > ?"}, []any{q.Cursor}
	if q.Text != "" {
		where = append(where, `(name LIKE ? ESCAPE '\' OR description LIKE ? ESCAPE '\')`)
		pat := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q.Text) + "%"
		args = append(args, pat, pat)
	}
	if q.Active != nil {
		where, args = append(where, "active = ?"), append(args, *q.Active)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+listColumns+` FROM graphs WHERE `+strings.Join(where, " AND ")+` ORDER BY name LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return page, fmt.Errorf("list graphs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		g, err := scanGraph(rows)
		if err != nil {
			return page, fmt.Errorf("list graphs: %w", err)
		}
		page.Graphs = append(page.Graphs, g)
	}
	if err := rows.Err(); err != nil {
		return page, fmt.Errorf("list graphs: %w", err)
	}
	if len(page.Graphs) > limit {
		page.Graphs = page.Graphs[:limit]
		page.Next = page.Graphs[limit-1].Name
	}
	return page, nil
}

// DeleteGraph implements engine.GraphStore.
func (s *Store) DeleteGraph(ctx context.Context, id engine.GraphID, at time.Time) error {
	res, err := s.exec(ctx, `UPDATE graphs SET old_name = name, name = NULL, active = 0, deleted_at = ? WHERE id = ? AND name IS NOT NULL`, at.UnixMilli(), int64(id))
	return one(res, err, "delete graph", id)
}

// SetActive implements engine.GraphStore.
func (s *Store) SetActive(ctx context.Context, id engine.GraphID, active bool) error {
	res, err := s.exec(ctx, `UPDATE graphs SET active = ? WHERE id = ? AND name IS NOT NULL`, active, int64(id))
	return one(res, err, "switch graph", id)
}

// AddVersion implements engine.VersionStore.
func (s *Store) AddVersion(ctx context.Context, v engine.Version) (int, error) {
	specs, err := json.Marshal(v.Specs)
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	var n int
	err = s.writing(ctx, func(ctx context.Context) error {
		n, err = s.addVersion(ctx, v, specs)
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, noGraph("publish", v.Graph)
	case err != nil:
		return 0, fmt.Errorf("publish: %w", err)
	}
	return n, nil
}

// addVersion writes a version in a transaction of its own; sql.ErrNoRows means
// that there is no such graph.
func (s *Store) addVersion(ctx context.Context, v engine.Version, specs []byte) (n int, err error) {
	tx, err := s.conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	if n, err = nextVersion(ctx, tx, v, specs); err != nil {
		return 0, err
	}
	return n, tx.Commit()
}

// nextVersion is addVersion within a transaction.
func nextVersion(ctx context.Context, tx *sql.Tx, v engine.Version, specs []byte) (n int, err error) {
	if err := tx.QueryRowContext(ctx, `UPDATE graphs SET version = version + 1 WHERE id = ? AND name IS NOT NULL RETURNING version`, int64(v.Graph)).Scan(&n); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO versions(graph, number, document, digest, evaluator, specs, published_at) VALUES(?,?,?,?,?,?,?)`,
		int64(v.Graph), n, []byte(v.Document), v.Digest, v.Evaluator, specs, v.PublishedAt.UnixMilli())
	return n, err
}

// AddVersions implements engine.VersionStore.
func (s *Store) AddVersions(ctx context.Context, vs []engine.Version) error {
	err := s.writing(ctx, func(ctx context.Context) error {
		tx, err := s.conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		for _, v := range vs {
			specs, err := json.Marshal(v.Specs)
			if err == nil {
				_, err = nextVersion(ctx, tx, v, specs)
			}
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return tx.Commit()
	})
	if err != nil {
		return fmt.Errorf("publish %d graphs: %w", len(vs), err)
	}
	return nil
}

// digestsInUse joins what open runs and graphs refer to with the digests of these
// versions.
const digestsInUse = `WITH used(graph, version, live) AS (
  SELECT graph, version, 1 FROM runs WHERE state < 3
  UNION SELECT id, version, active FROM graphs WHERE name IS NOT NULL AND version > 0)
SELECT d.value, max(used.live) FROM used
  JOIN versions v ON v.graph = used.graph AND v.number = used.version,
  json_each(CAST(v.specs AS TEXT), '$.digests') d
GROUP BY d.value`

// Digests implements engine.DigestStore.
func (s *Store) Digests(ctx context.Context) (map[string]bool, error) {
	rows, err := s.read.QueryContext(ctx, digestsInUse)
	if err != nil {
		return nil, fmt.Errorf("list the plugins in use: %w", err)
	}
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var digest string
		var live bool
		if err := rows.Scan(&digest, &live); err != nil {
			return nil, fmt.Errorf("list the plugins in use: %w", err)
		}
		out[digest] = live
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the plugins in use: %w", err)
	}
	return out, nil
}

// Version implements engine.VersionStore.
func (s *Store) Version(ctx context.Context, id engine.GraphID, number int) (engine.Version, error) {
	v := engine.Version{Graph: id, Number: number}
	var specs []byte
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT document, digest, evaluator, specs, published_at FROM versions WHERE graph = ? AND number = ?`, int64(id), number).
		Scan((*[]byte)(&v.Document), &v.Digest, &v.Evaluator, &specs, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return v, &engine.Error{Kind: engine.NotFound, Op: "read version", Err: fmt.Errorf("the graph has no version %d", number)}
	}
	if err == nil {
		err = json.Unmarshal(specs, &v.Specs)
	}
	if err != nil {
		return v, fmt.Errorf("read version %d: %w", number, err)
	}
	v.PublishedAt = time.UnixMilli(at).UTC()
	return v, nil
}

// Versions implements engine.VersionStore.
func (s *Store) Versions(ctx context.Context, id engine.GraphID) ([]engine.Version, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT number, digest, evaluator, published_at FROM versions WHERE graph = ? ORDER BY number DESC`, int64(id))
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	defer rows.Close()
	var out []engine.Version
	for rows.Next() {
		v := engine.Version{Graph: id}
		var at int64
		if err := rows.Scan(&v.Number, &v.Digest, &v.Evaluator, &at); err != nil {
			return nil, fmt.Errorf("list versions: %w", err)
		}
		v.PublishedAt = time.UnixMilli(at).UTC()
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	return out, nil
}

// Mark implements engine.VersionStore.
func (s *Store) Mark(ctx context.Context, id engine.GraphID, trigger string) (string, error) {
	var c string
	err := s.read.QueryRowContext(ctx, `SELECT cursor FROM marks WHERE graph = ? AND trigger = ?`, int64(id), trigger).Scan(&c)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read mark: %w", err)
	}
	return c, nil
}
