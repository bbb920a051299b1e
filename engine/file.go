package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
)

// A File is a file of a run. Its bytes are kept apart, under their digest.
type File struct {
	// ID is 128 random bits in hex. It means something under its run only.
	ID string
	// Digest is the SHA-256 of the bytes in hex.
	Digest string
	// Name is what the sender calls the file: data, never a path.
	Name string
	// Type is a media type.
	Type string
	// Size is in bytes.
	Size int64
}

// A FileStore keeps which files runs have. It is safe for concurrent use.
type FileStore interface {
	// File gives a file of a run; the error of one that the run doesn't have is of
	// kind NotFound, whoever else has it.
	File(ctx context.Context, run RunID, id string) (File, error)
	// Referred gives those of the digests that some run's file has. It sees what
	// was committed before it was asked.
	Referred(ctx context.Context, digests []string) ([]string, error)
	// DeleteRun removes a run that has ended, with its journal and files, and
	// gives the digests that those had. Its key stays: an event that is sent again
	// starts no second run. Errors are of kind NotFound, or Conflict while the run
	// is open.
	DeleteRun(ctx context.Context, run RunID) (digests []string, err error)
}

// Blobs keeps the bytes of files. It is safe for concurrent use.
type Blobs interface {
	// Open gives the bytes of a digest; the error of one that isn't there is
	// fs.ErrNotExist.
	Open(digest string) (io.ReadSeekCloser, error)
	// Collect removes those of the digests that nobody refers to or holds any
	// more. It says itself what goes wrong.
	Collect(ctx context.Context, digests []string)
}

// OpenFile gives a file of a run and its bytes, which the caller closes.
func OpenFile(ctx context.Context, s FileStore, b Blobs, run RunID, id string) (File, io.ReadSeekCloser, error) {
	f, err := s.File(ctx, run, id)
	if err != nil {
		return File{}, nil, err
	}
	r, err := b.Open(f.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, nil, errorf(NotFound, "open file "+id, "its bytes are gone from the folder blobs: restore it from a copy of the data folder")
	}
	if err != nil {
		return File{}, nil, fmt.Errorf("open file %s: %w", id, err)
	}
	return f, r, nil
}

// OpenFile gives a file of a run and its bytes, which the caller closes.
func (e *Engine) OpenFile(ctx context.Context, run RunID, id string) (File, io.ReadSeekCloser, error) {
	return OpenFile(ctx, e.o.Files, e.o.Blobs, run, id)
}

// DeleteRun removes a run that has ended, with its journal and files; bytes
// that no other run has are gone when it returns. An event that is sent again
// with the run's key still starts nothing.
func (e *Engine) DeleteRun(ctx context.Context, id RunID) error {
	digests, err := e.o.Files.DeleteRun(ctx, id)
	if err != nil {
		return err
	}
	if len(digests) > 0 {
		e.o.Blobs.Collect(context.WithoutCancel(ctx), digests)
	}
	return nil
}

// noFiles stands for stores that weren't given.
type noFiles struct{}

func (noFiles) File(_ context.Context, _ RunID, id string) (File, error) {
	return File{}, errorf(NotFound, "open file "+id, "this engine keeps no files")
}

func (noFiles) Referred(context.Context, []string) ([]string, error) { return nil, nil }

func (noFiles) DeleteRun(_ context.Context, run RunID) ([]string, error) {
	return nil, errorf(Conflict, "delete run "+run.String(), "this engine deletes no runs")
}

func (noFiles) Open(string) (io.ReadSeekCloser, error) { return nil, fs.ErrNotExist }

func (noFiles) Collect(context.Context, []string) {}

// A keeping is what one call has handed to HostCall.Keep.
type keeping struct {
	mu      sync.Mutex
	files   []File
	release []func()
	over    bool
}

// keep takes a file; one that comes after end is let go of at once.
func (k *keeping) keep(f File, release func()) {
	k.mu.Lock()
	over := k.over
	if !over {
		k.files, k.release = append(k.files, f), append(k.release, release)
	}
	k.mu.Unlock()
	if over {
		release()
	}
}

// end gives the files, and the function that lets go of their bytes, which is
// to be called when the files are durable or won't be; nil: there are none.
func (k *keeping) end() (files []File, release func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	if len(k.files) == 0 {
		return nil, nil
	}
	all := slices.Clone(k.release)
	return k.files, sync.OnceFunc(func() {
		for _, f := range all {
			f()
		}
	})
}

// discard removes the bytes of files that nobody came to have.
func (e *Engine) discard(ctx context.Context, files []File, release func()) {
	if release == nil {
		return
	}
	release()
	digests := make([]string, len(files))
	for i, f := range files {
		digests[i] = f.Digest
	}
	e.o.Blobs.Collect(context.WithoutCancel(ctx), digests)
}
