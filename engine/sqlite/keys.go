package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/engine"
)

var _ engine.KeyStore = (*Store)(nil)

// ForgetKeys implements engine.KeyStore.
func (s *Store) ForgetKeys(ctx context.Context, before time.Time, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return 0, errors.New("forget keys: the store is closed")
	}
	res, err := s.conn.ExecContext(ctx, `DELETE FROM keys WHERE (graph, key) IN (SELECT graph, key FROM keys WHERE until < ? ORDER BY until LIMIT ?)`, before.UnixMilli(), limit)
	if err != nil {
		return 0, fmt.Errorf("forget keys: %w", err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}
