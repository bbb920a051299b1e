package http

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// readFile reads the value of a file; false if v is none. Name and type may be
// another's choice: a mapping may give a file a new name.
func readFile(v []byte) (sdk.File, bool) {
	var f sdk.File
	ok := rawjson.Of(v) == rawjson.Object && rawjson.Members(v, func(quoted, value []byte) error {
		name, _ := rawjson.Unquote(quoted)
		into := &f.ID
		switch name {
		case "file":
		case "name":
			into = &f.Name
		case "type":
			into = &f.Type
		case "size":
			return nil // the host knows it
		default:
			return errNoFile
		}
		s, ok := rawjson.Unquote(value)
		if !ok {
			return errNoFile
		}
		*into = s
		return nil
	}) == nil && f.ID != ""
	if strings.TrimSpace(f.Type) == "" || !isFieldValue(f.Type) {
		f.Type = typeFile
	}
	return f, ok
}

var errNoFile = errors.New("no file")

// stat asks the host for a file's size, before anything is sent.
func (b *builder) stat(ref sdk.File) (int64, error) {
	files, err := sdk.FilesOf(b.host)
	if err != nil {
		return 0, err
	}
	f, r, err := files.OpenFile(b.ctx(), ref.ID)
	switch {
	case err != nil && sdk.KindOf(err) == sdk.NotFound:
		return 0, sdk.Errorf(sdk.Invalid,
			"this run has no file %.40q; map a file of the trigger or of a step whole, such as trigger.files[0]", ref.ID)
	case err != nil:
		return 0, err
	}
	if err := r.Close(); err != nil {
		return 0, fmt.Errorf("close file: %w", err)
	}
	return f.Size, nil
}

// An insert is a file inside of a body, before the byte at of its text.
type insert struct {
	at   int
	id   string
	name string
	size int64
}

// stream sets a body of text with files in it. Only the text is in memory; the
// files are opened when their turn comes.
func (b *builder) stream(text []byte, files []insert) {
	if len(files) == 0 {
		setBytes(b.r, text)
		return
	}
	b.r.Size = int64(len(text))
	for i := range files {
		b.r.Size += files[i].size
	}
	open := func(id string) (io.ReadCloser, error) {
		kept, err := sdk.FilesOf(b.host)
		if err != nil {
			return nil, err
		}
		_, r, err := kept.OpenFile(b.ctx(), id)
		return r, err
	}
	b.r.Body = &streamed{open: open, text: text, files: files}
	b.r.Reopen = func() (io.ReadCloser, error) { return &streamed{open: open, text: text, files: files}, nil }
}

// A streamed body gives its text and its files in order. It may be closed while
// it is read: a service can answer before it has all.
type streamed struct {
	open  func(id string) (io.ReadCloser, error)
	text  []byte
	files []insert // those to come, and the one that is open

	mu     sync.Mutex
	off    int           // in text
	file   io.ReadCloser // files[0], while it is open
	left   int64         // of file
	closed bool
}

var _ io.ReadCloser = (*streamed)(nil)

// Read implements io.Reader. A file that has not the size it was announced with
// is an error: the length is already told.
func (s *streamed) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		switch {
		case s.closed:
			return 0, fs.ErrClosed
		case s.file != nil:
			if n, err := s.readFile(p); n > 0 || err != nil {
				return n, err
			}
		case len(s.files) > 0 && s.off == s.files[0].at:
			r, err := s.open(s.files[0].id)
			if err != nil {
				return 0, fmt.Errorf("open the file %q: %w", s.files[0].name, err)
			}
			s.file, s.left = r, s.files[0].size
		case s.off == len(s.text):
			return 0, io.EOF
		default:
			end := len(s.text)
			if len(s.files) > 0 {
				end = s.files[0].at
			}
			n := copy(p, s.text[s.off:end])
			s.off += n
			return n, nil
		}
	}
	return 0, nil
}

// readFile reads from the open file, and closes it at its end.
func (s *streamed) readFile(p []byte) (int, error) {
	n := 0
	if s.left > 0 {
		var err error
		n, err = s.file.Read(p[:min(int64(len(p)), s.left)])
		s.left -= int64(n)
		switch {
		case err == io.EOF && s.left > 0:
			return n, fmt.Errorf("the file %q ends %d bytes early", s.files[0].name, s.left)
		case err != nil && err != io.EOF:
			return n, fmt.Errorf("read the file %q: %w", s.files[0].name, err)
		}
	}
	if s.left == 0 {
		f := s.file
		s.file, s.files = nil, s.files[1:]
		if err := f.Close(); err != nil {
			return n, fmt.Errorf("close file: %w", err)
		}
	}
	return n, nil
}

// Close implements io.Closer; it is idempotent.
func (s *streamed) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}
