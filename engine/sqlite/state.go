package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tappet-dev/tappet/engine"
)

// State implements engine.VersionStore.
func (s *Store) State(ctx context.Context, id engine.GraphID, trigger, key string) ([]byte, error) {
	var v []byte
	err := s.read.QueryRowContext(ctx, `SELECT value FROM states WHERE graph = ? AND trigger = ? AND key = ?`, int64(id), trigger, key).Scan(&v)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return v, nil
}

// SetState implements engine.VersionStore. The statement looks at the others
// and writes in one: nobody writes in between.
func (s *Store) SetState(ctx context.Context, id engine.GraphID, trigger, key string, value []byte, limit int) error {
	if len(value) == 0 {
		if _, err := s.exec(ctx, `DELETE FROM states WHERE graph = ? AND trigger = ? AND key = ?`, int64(id), trigger, key); err != nil {
			return fmt.Errorf("write state: %w", err)
		}
		return nil
	}
	res, err := s.exec(ctx, `INSERT INTO states(graph, trigger, key, value) SELECT ?1, ?2, ?3, ?4
WHERE length(CAST(?3 AS BLOB)) + length(?4) + (SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value)), 0) FROM states
  WHERE graph = ?1 AND trigger = ?2 AND key <> ?3) <= ?5
ON CONFLICT(graph, trigger, key) DO UPDATE SET value = excluded.value`, int64(id), trigger, key, value, limit)
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if n == 0 {
		return &engine.Error{Kind: engine.TooLarge, Op: "write state", Err: fmt.Errorf("keys and values of %s would have more than %d bytes", trigger, limit)}
	}
	return nil
}
