package sqlite

import "context"

// ForTestExec runs a statement, to make folders that this version wouldn't.
func (s *Store) ForTestExec(query string) error {
	_, err := s.exec(context.Background(), query)
	return err
}
