package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Refs gives those of the digests that somebody refers to. It must see what was
// committed before it was asked.
type Refs func(ctx context.Context, digests []string) (used []string, err error)

// Collect removes those of the digests that nobody holds or refers to, and
// tells how many that were. A digest that isn't there is passed over.
//
// Whoever puts a blob holds it until the reference is committed. So a digest
// that nobody holds is marked first and asked about then: a reference that was
// committed before the mark is seen by the question, and one that comes later
// was put later, which has taken the mark away.
func (s *Store) Collect(ctx context.Context, digests []string, refs Refs) (removed int, err error) {
	s.collecting.Lock()
	defer s.collecting.Unlock()
	candidates := s.doom(digests)
	defer s.spare()
	if len(candidates) == 0 {
		return 0, nil
	}
	used, err := refs(ctx, candidates)
	if err != nil {
		return 0, fmt.Errorf("collect files: %w", err)
	}
	for _, d := range used {
		s.mu.Lock()
		delete(s.doomed, d)
		s.mu.Unlock()
	}
	var errs []error
	for _, d := range candidates {
		ok, err := s.removeDoomed(d)
		if err != nil {
			errs = append(errs, err)
		}
		if ok {
			removed++
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("collect files: %w", err)
	}
	return removed, nil
}

// doom marks the digests that nobody holds.
func (s *Store) doom(digests []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, d := range digests {
		if isDigest(d) && s.pins[d] == 0 && !s.doomed[d] {
			s.doomed[d] = true
			out = append(out, d)
		}
	}
	return out
}

func (s *Store) spare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.doomed)
}

// removeDoomed removes a blob that still bears its mark.
func (s *Store) removeDoomed(digest string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.doomed[digest] {
		return false, nil
	}
	_, name := s.path(digest)
	err := os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Sweep is Collect of all that is there, one of 256 folders at a time: what a
// process that was killed had put and nobody has come to refer to.
func (s *Store) Sweep(ctx context.Context, refs Refs) (removed int, err error) {
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, fmt.Errorf("sweep files: %w", err)
	}
	for _, f := range folders {
		if !f.IsDir() || len(f.Name()) != 2 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		blobs, err := os.ReadDir(filepath.Join(s.dir, f.Name()))
		if err != nil {
			return removed, fmt.Errorf("sweep files: %w", err)
		}
		digests := make([]string, len(blobs))
		for i, b := range blobs {
			digests[i] = b.Name()
		}
		n, err := s.Collect(ctx, digests, refs)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}
