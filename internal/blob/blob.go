// Package blob keeps files in a folder, each under the SHA-256 of its bytes.
//
// It knows neither runs nor names: who refers to a blob is the caller's to say
// (Refs). Its one rule: what has a blob's name is whole and on disk, and isn't
// removed while somebody holds it or refers to it.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Limits bound what is kept; zero fields mean the defaults.
type Limits struct {
	// File is how many bytes one file may have; 0 means 4 GiB (limits.file_bytes).
	File int64
}

// A Store is one open folder. It is safe for concurrent use; a folder is one
// process's at a time, which the caller sees to.
type Store struct {
	dir, tmp string
	limit    int64

	// collecting is held by the one collection under way.
	collecting sync.Mutex
	// mu guards pins and doomed, and the coming and going of names.
	mu   sync.Mutex
	pins map[string]int
	// doomed are the digests that a collection asks about: one that is put
	// meanwhile leaves it, because the answer may be older.
	doomed map[string]bool
}

// A TooLargeError says that a file has more bytes than one may have.
type TooLargeError struct{ Limit int64 }

// Error names limit and setting.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the file has more than %d bytes, which is the limit (limits.file_bytes)", e.Limit)
}

// A WriteError says that the disk took no more; nothing is left of the file.
type WriteError struct{ Err error }

// Error gives the cause.
func (e *WriteError) Error() string { return "the file can't be written: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// Open opens a folder, which it makes (0700) if need be, and removes what a
// process that was killed has left half written.
func Open(dir string, l Limits) (*Store, error) {
	if l.File == 0 {
		l.File = 4 << 30
	}
	s := &Store{
		dir: dir, tmp: filepath.Join(dir, "tmp"), limit: l.File,
		pins: map[string]int{}, doomed: map[string]bool{},
	}
	err := os.RemoveAll(s.tmp)
	if err == nil {
		err = os.MkdirAll(s.tmp, 0o700)
	}
	if err == nil {
		err = errors.Join(syncFolder(dir), syncFolder(filepath.Dir(dir)))
	}
	if err != nil {
		return nil, fmt.Errorf("open the folder of files: %w", err)
	}
	return s, nil
}

// A Blob is one that was put and is held: no collection removes it before
// Release.
type Blob struct {
	// Digest is the SHA-256 of the bytes in hex.
	Digest string
	// Size is in bytes.
	Size int64

	release func()
}

// Release lets the blob go: it stays for as long as it is referred to.
func (b *Blob) Release() { b.release() }

// copyBuffer is what one Put has in memory.
const copyBuffer = 128 << 10

// Put keeps what r gives until its end, and returns when it is on disk. Errors
// of r are returned as they are; others are a *TooLargeError, a *WriteError or
// ctx's.
func (s *Store) Put(ctx context.Context, r io.Reader) (*Blob, error) {
	f, err := os.CreateTemp(s.tmp, "")
	if err != nil {
		return nil, &WriteError{err}
	}
	digest, size, err := s.fill(ctx, f, r)
	if err == nil {
		if err = errors.Join(f.Sync(), f.Close()); err != nil {
			err = &WriteError{err}
		}
	}
	if err != nil {
		_ = f.Close() // it is removed, whatever it holds
		_ = os.Remove(f.Name())
		return nil, err
	}
	if err := s.place(f.Name(), digest); err != nil {
		_ = os.Remove(f.Name()) // it may have its name already
		return nil, &WriteError{err}
	}
	return &Blob{Digest: digest, Size: size, release: sync.OnceFunc(func() { s.unpin(digest) })}, nil
}

// fill copies r to f and gives the digest and length of what came.
func (s *Store) fill(ctx context.Context, f *os.File, r io.Reader) (digest string, size int64, err error) {
	sum := sha256.New()
	buf := make([]byte, copyBuffer)
	for {
		n, err := readFull(r, buf)
		if size += int64(n); size > s.limit {
			return "", 0, &TooLargeError{s.limit}
		}
		sum.Write(buf[:n])
		if _, err := f.Write(buf[:n]); err != nil {
			return "", 0, &WriteError{err}
		}
		switch {
		case err == io.EOF: //nolint:errorlint // what wraps it tells of a failure
			return hex.EncodeToString(sum.Sum(nil)), size, nil
		case err != nil:
			return "", 0, err
		}
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
	}
}

// readFull is io.ReadFull that gives r's own error: one that is
// io.ErrUnexpectedEOF must not be taken for the end.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// place gives a whole file its name and pins it. The folder is synced even
// where another has made the name: it may not have synced it yet.
func (s *Store) place(path, digest string) error {
	folder, name := s.path(digest)
	if err := s.makeFolder(folder); err != nil {
		return err
	}
	s.mu.Lock()
	_, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(path, name)
	} else if err == nil {
		err = os.Remove(path)
	}
	if err == nil {
		s.pins[digest]++
		delete(s.doomed, digest)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := syncFolder(folder); err != nil {
		s.unpin(digest)
		return err
	}
	return nil
}

func (s *Store) makeFolder(folder string) error {
	err := os.Mkdir(folder, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	return syncFolder(s.dir)
}

func (s *Store) unpin(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pins[digest]--; s.pins[digest] <= 0 {
		delete(s.pins, digest)
	}
}

// path gives a blob's folder and name: digests begin with one of 256 bytes.
func (s *Store) path(digest string) (folder, name string) {
	folder = filepath.Join(s.dir, digest[:2])
	return folder, filepath.Join(folder, digest)
}

// isDigest keeps anything else from being a path.
func isDigest(s string) bool {
	if len(s) != hex.EncodedLen(sha256.Size) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Open opens a blob for reading; the error of one that isn't there is
// fs.ErrNotExist.
func (s *Store) Open(digest string) (*os.File, error) {
	if !isDigest(digest) {
		return nil, fmt.Errorf("open blob %.80q: %w", digest, fs.ErrNotExist)
	}
	_, name := s.path(digest)
	return os.Open(name)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
