// Package sqlite keeps graphs, versions, runs and journals in one SQLite file.
//
// It groups nothing and decides nothing: engine/local brings many runs' entries
// in one Commit. Its one rule: what Commit has returned from is on disk (WAL,
// synchronous=FULL).
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tappet-dev/tappet/engine"
)

var (
	_ engine.JournalStore = (*Store)(nil)
	_ engine.GraphStore   = (*Store)(nil)
	_ engine.VersionStore = (*Store)(nil)
	_ engine.FileStore    = (*Store)(nil)

	_ engine.ConnectionStore = (*Store)(nil)
	_ engine.TicketStore     = (*Store)(nil)
	_ engine.SecretStore     = (*Store)(nil)
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options are optional; the zero value works.
type Options struct {
	// Readers is the number of connections for reading; 0 means 4.
	Readers int
}

// A Store is one open data folder. It is safe for concurrent use.
type Store struct {
	read *sql.DB
	// write has one connection, conn; it and w, which writes below it, are used
	// under mu.
	write *sql.DB
	conn  *sql.Conn
	w     *writer
	mu    sync.Mutex
	lock  *os.File
	path  string
}

// Open opens tappet.db in a data folder, which it makes (0700) if need be, and
// brings an older schema up to date after a copy was made beside it. A folder
// that another process has open is refused at once, and so is one that a newer
// version has written.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	if o.Readers == 0 {
		o.Readers = 4
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, path: filepath.Join(dir, "tappet.db")}
	if err := s.open(ctx, dir, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, dir string, o Options) error {
	// Made here, so that it and the files beside it are the owner's alone from
	// the first byte.
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if s.write, err = sql.Open("sqlite", dsn(s.path)); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	s.write.SetMaxOpenConns(1)
	if err := s.migrate(ctx, dir); err != nil {
		return err
	}
	if err := syncFolder(dir); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn(s.path)+"&_pragma=query_only(1)"); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	s.read.SetMaxOpenConns(o.Readers)
	s.read.SetMaxIdleConns(o.Readers)
	if s.conn, err = s.write.Conn(ctx); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	return s.prepare(ctx)
}

func dsn(path string) string {
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)", "temp_store(MEMORY)"}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func (s *Store) prepare(ctx context.Context) error {
	err := s.conn.Raw(func(conn any) (err error) {
		s.w, err = newWriter(ctx, conn)
		return err
	})
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	return nil
}

// migrate brings the schema up to date.
func (s *Store) migrate(ctx context.Context, dir string) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, sub, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	has, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the data folder's version: %w", err)
	}
	switch {
	case has == target:
		return nil
	case has > target:
		return fmt.Errorf("the data folder %s was written by a newer version of tappet (schema %d, this one knows %d): run that version, or restore a copy", dir, has, target)
	case has > 0:
		if err := s.copyTo(ctx, filepath.Join(dir, fmt.Sprintf("tappet.db.schema-%d", has))); err != nil {
			return err
		}
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("upgrade the data folder: %w", err)
	}
	return nil
}

// copyTo writes a consistent copy; one that is there already is kept, because
// it is of the same schema and was made before anything changed. It gets its
// name when it is whole and on disk.
func (s *Store) copyTo(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	part, err := os.OpenFile(path+".part", os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("copy the store before its upgrade: %w", err)
	}
	if _, err = s.write.ExecContext(ctx, `VACUUM INTO ?`, part.Name()); err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("copy the store before its upgrade: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// Close closes the store and unlocks the folder. It is idempotent.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.w != nil {
		errs = append(errs, s.w.close())
		s.w = nil
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
		s.conn = nil
	}
	for _, db := range []**sql.DB{&s.read, &s.write} {
		if *db != nil {
			errs = append(errs, (*db).Close())
			*db = nil
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

// makeFolder makes dir and those above it that are missing, and syncs each into
// the one above, so that a power cut leaves none of them out.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	above := filepath.Dir(dir)
	if above != dir {
		if err := makeFolder(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make data folder: %w", err)
	}
	return syncFolder(above)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync data folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync data folder: %w", err)
	}
	return nil
}
