package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/engine"
)

const connectionColumns = `id, name, kind, title, config, hosts, sealed, state, message, created_at, updated_at`

func scanConnection(row interface{ Scan(...any) error }) (engine.StoredConnection, error) {
	var (
		c                engine.StoredConnection
		hosts            string
		created, updated int64
	)
	if err := row.Scan(&c.ID, &c.Name, &c.Kind, &c.Title, (*[]byte)(&c.Config), &hosts, &c.Sealed, &c.State, &c.Message, &created, &updated); err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(hosts), &c.Hosts); err != nil {
		return c, fmt.Errorf("hosts: %w", err)
	}
	c.CreatedAt, c.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	return c, nil
}

func noConnection(op, name string) error {
	return &engine.Error{Kind: engine.NotFound, Op: op, Err: fmt.Errorf("there is no connection %.100q", name)}
}

// Connections implements engine.ConnectionStore.
func (s *Store) Connections(ctx context.Context) ([]engine.StoredConnection, error) {
	out, err := all(scanConnection)(s.read.QueryContext(ctx, `SELECT `+connectionColumns+` FROM connections ORDER BY name`))
	if err != nil {
		return nil, fmt.Errorf("list connections: %w", err)
	}
	return out, nil
}

// all reads the rows of a query.
func all[T any](scan func(interface{ Scan(...any) error }) (T, error)) func(*sql.Rows, error) ([]T, error) {
	return func(rows *sql.Rows, err error) ([]T, error) {
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		var out []T
		for rows.Next() {
			x, err := scan(rows)
			if err != nil {
				return nil, err
			}
			out = append(out, x)
		}
		return out, rows.Err()
	}
}

// Connection implements engine.ConnectionStore.
func (s *Store) Connection(ctx context.Context, name string) (engine.StoredConnection, error) {
	c, err := scanConnection(s.read.QueryRowContext(ctx, `SELECT `+connectionColumns+` FROM connections WHERE name = ?`, name))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return c, noConnection("read connection", name)
	case err != nil:
		return c, fmt.Errorf("read connection %s: %w", name, err)
	}
	return c, nil
}

// CreateConnection implements engine.ConnectionStore.
func (s *Store) CreateConnection(ctx context.Context, c engine.StoredConnection) error {
	op := "create connection " + c.Name
	hosts, err := json.Marshal(c.Hosts)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, err = s.exec(ctx, `INSERT INTO connections(`+connectionColumns+`) VALUES(?,?,?,?,?,?,?,?,?,?,?)`,
		c.ID, c.Name, c.Kind, c.Title, []byte(c.Config), string(hosts), c.Sealed, c.State, c.Message, c.CreatedAt.UnixMilli(), c.UpdatedAt.UnixMilli())
	switch {
	case conflict(err):
		return &engine.Error{Kind: engine.Conflict, Op: op, Problems: []engine.Problem{{
			Pointer: "/name", Code: "name_taken", Message: fmt.Sprintf("there is a connection named %q already", c.Name),
			Suggestion: "choose another name, or change that connection",
		}}}
	case err != nil:
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// SaveConnection implements engine.ConnectionStore.
func (s *Store) SaveConnection(ctx context.Context, c engine.StoredConnection) error {
	op := "save connection " + c.Name
	hosts, err := json.Marshal(c.Hosts)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	res, err := s.exec(ctx, `UPDATE connections SET kind = ?, title = ?, config = ?, hosts = ?, sealed = ?, state = ?, message = ?, updated_at = ? WHERE id = ?`,
		c.Kind, c.Title, []byte(c.Config), string(hosts), c.Sealed, c.State, c.Message, c.UpdatedAt.UnixMilli(), c.ID)
	return met(res, err, op, noConnection(op, c.Name))
}

// DeleteConnection implements engine.ConnectionStore.
func (s *Store) DeleteConnection(ctx context.Context, id string) error {
	const op = "delete connection"
	res, err := s.exec(ctx, `DELETE FROM connections WHERE id = ?`, id)
	return met(res, err, op, noConnection(op, id))
}

// met gives none when a statement has met no row.
func met(res sql.Result, err error, op string, none error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	n, err := res.RowsAffected()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", op, err)
	case n == 0:
		return none
	}
	return nil
}

// PutTicket implements engine.TicketStore.
func (s *Store) PutTicket(ctx context.Context, t engine.StoredTicket, now time.Time) error {
	if _, err := s.exec(ctx, `DELETE FROM tickets WHERE expires_at <= ?`, now.UnixMilli()); err != nil {
		return fmt.Errorf("drop tickets: %w", err)
	}
	if _, err := s.exec(ctx, `INSERT INTO tickets(key, sealed, expires_at) VALUES(?,?,?)`, t.Key, t.Sealed, t.ExpiresAt.UnixMilli()); err != nil {
		return fmt.Errorf("put ticket: %w", err)
	}
	return nil
}

// TakeTicket implements engine.TicketStore.
func (s *Store) TakeTicket(ctx context.Context, key string) (engine.StoredTicket, error) {
	t := engine.StoredTicket{Key: key}
	var expires int64
	err := s.writing(ctx, func(ctx context.Context) error {
		return s.conn.QueryRowContext(ctx, `DELETE FROM tickets WHERE key = ? RETURNING sealed, expires_at`, key).Scan(&t.Sealed, &expires)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t, &engine.Error{Kind: engine.NotFound, Op: "take ticket", Err: errors.New("there is no such ticket")}
	case err != nil:
		return t, fmt.Errorf("take ticket: %w", err)
	}
	t.ExpiresAt = time.UnixMilli(expires).UTC()
	return t, nil
}

const secretColumns = `name, sealed, created_at, updated_at`

func scanSecret(row interface{ Scan(...any) error }) (engine.StoredSecret, error) {
	var (
		x                engine.StoredSecret
		created, updated int64
	)
	err := row.Scan(&x.Name, &x.Sealed, &created, &updated)
	x.CreatedAt, x.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	return x, err
}

func noSecret(op, name string) error {
	return &engine.Error{Kind: engine.NotFound, Op: op, Err: fmt.Errorf("there is no secret %.100q", name)}
}

// StoredSecrets implements engine.SecretStore.
func (s *Store) StoredSecrets(ctx context.Context) ([]engine.StoredSecret, error) {
	out, err := all(scanSecret)(s.read.QueryContext(ctx, `SELECT `+secretColumns+` FROM secrets ORDER BY name`))
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	return out, nil
}

// StoredSecret implements engine.SecretStore.
func (s *Store) StoredSecret(ctx context.Context, name string) (engine.StoredSecret, error) {
	x, err := scanSecret(s.read.QueryRowContext(ctx, `SELECT `+secretColumns+` FROM secrets WHERE name = ?`, name))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return x, noSecret("read secret", name)
	case err != nil:
		return x, fmt.Errorf("read secret %s: %w", name, err)
	}
	return x, nil
}

// PutSecret implements engine.SecretStore.
func (s *Store) PutSecret(ctx context.Context, x engine.StoredSecret) error {
	_, err := s.exec(ctx, `INSERT INTO secrets(`+secretColumns+`) VALUES(?,?,?,?)
ON CONFLICT(name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at`,
		x.Name, x.Sealed, x.CreatedAt.UnixMilli(), x.UpdatedAt.UnixMilli())
	if err != nil {
		return fmt.Errorf("put secret %s: %w", x.Name, err)
	}
	return nil
}

// DeleteSecret implements engine.SecretStore.
func (s *Store) DeleteSecret(ctx context.Context, name string) error {
	const op = "delete secret"
	res, err := s.exec(ctx, `DELETE FROM secrets WHERE name = ?`, name)
	return met(res, err, op, noSecret(op, name))
}
