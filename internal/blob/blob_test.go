package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tappet-dev/tappet/internal/blob"
)

func open(t testing.TB, dir string, l blob.Limits) *blob.Store {
	t.Helper()
	s, err := blob.Open(dir, l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPut(t testing.TB, s *blob.Store, text string) *blob.Blob {
	t.Helper()
	b, err := s.Put(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// files lists what a folder holds, with the paths inside it.
func files(t testing.TB, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantFiles(t testing.TB, dir string, texts ...string) {
	t.Helper()
	var want []string
	for _, x := range texts {
		d := digestOf(x)
		want = append(want, filepath.Join(d[:2], d))
	}
	got := files(t, dir)
	if len(got) != len(want) {
		t.Errorf("the folder holds %v; want %v", got, want)
	}
	for _, w := range want {
		if _, err := os.Stat(filepath.Join(dir, w)); err != nil {
			t.Error(err)
		}
	}
}

// refs says that the texts are referred to.
func refs(texts ...string) blob.Refs {
	return func(context.Context, []string) (used []string, err error) {
		for _, x := range texts {
			used = append(used, digestOf(x))
		}
		return used, nil
	}
}

func TestABlobReadsBackUnderItsDigest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "blobs")
	s := open(t, dir, blob.Limits{})
	for _, text := range []string{"", "a", strings.Repeat("0123456789", 100_000)} {
		b, err := s.Put(t.Context(), io.MultiReader(strings.NewReader(text[:len(text)/3]), strings.NewReader(text[len(text)/3:])))
		if err != nil {
			t.Fatal(err)
		}
		if b.Digest != digestOf(text) || b.Size != int64(len(text)) {
			t.Errorf("put %d bytes: %+v; want %s", len(text), b, digestOf(text))
		}
		f, err := open(t, dir, blob.Limits{}).Open(b.Digest) // of another process, after a restart
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != text {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, len(text))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	mustPut(t, s, "a")
	wantFiles(t, dir, "", "a", strings.Repeat("0123456789", 100_000))
}

func TestSec14_BlobsAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "blobs")
	b := mustPut(t, open(t, dir, blob.Limits{}), "a")
	for name, want := range map[string]os.FileMode{"": 0o700, "tmp": 0o700, b.Digest[:2]: 0o700, filepath.Join(b.Digest[:2], b.Digest): 0o600} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != want {
			t.Errorf("%q has mode %o; want %o", name, st.Mode().Perm(), want)
		}
	}
}

func TestSec11_OnlyADigestIsAPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(dir, "blobs"), blob.Limits{})
	for _, d := range []string{"", ".", "..", "../secret", strings.Repeat("../", 20) + "etc/passwd", strings.Repeat("A", 64), strings.Repeat("a", 63) + "/"} {
		if f, err := s.Open(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v, %v; want not there", d, f, err)
		}
		if n, err := s.Collect(t.Context(), []string{d}, refs()); n != 0 || err != nil {
			t.Errorf("collect %q: %d, %v", d, n, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "secret")); err != nil {
		t.Error(err)
	}
}

// endless gives bytes for ever.
type endless struct{ read int64 }

func (e *endless) Read(b []byte) (int, error) {
	e.read += int64(len(b))
	return len(b), nil
}

// What a reader ends with stands in no blob, and leaves nothing behind.
func TestAFileThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken off")
	dir := t.TempDir()
	s := open(t, dir, blob.Limits{File: 1 << 20})
	_, err := s.Put(t.Context(), io.MultiReader(strings.NewReader("half"), errorReader{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("err = %v; want the reader's", err)
	}
	source := &endless{}
	_, err = s.Put(t.Context(), source)
	var large *blob.TooLargeError
	if !errors.As(err, &large) || large.Limit != 1<<20 || !strings.Contains(err.Error(), "limits.file_bytes") || source.read > 2<<20 {
		t.Errorf("err = %v after %d bytes; want too large, with the setting", err, source.read)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, &endless{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v; want cancelled", err)
	}
	wantFiles(t, dir)
	if b, err := s.Put(t.Context(), io.LimitReader(&endless{}, 1<<20)); err != nil {
		t.Errorf("a file of exactly the limit: %+v, %v", b, err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// A process that is killed in the middle of a file leaves no blob, and the next
// one no rest of it.
func TestAHalfFileNeverHasAName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, blob.Limits{})
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := s.Put(context.WithoutCancel(t.Context()), pr)
		done <- err
	}()
	half := bytes.Repeat([]byte("x"), 1<<20)
	if _, err := pw.Write(half); err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	if len(got) != 1 || !strings.HasPrefix(got[0], "tmp"+string(filepath.Separator)) {
		t.Errorf("while a file comes in the folder holds %v; want one in tmp", got)
	}
	open(t, dir, blob.Limits{}) // the next process
	wantFiles(t, dir)
	if err := pw.CloseWithError(io.ErrUnexpectedEOF); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("err = %v", err)
	}
}

func TestOnlyWhatNobodyHasIsCollected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, blob.Limits{})
	held, used, free := mustPut(t, s, "held"), mustPut(t, s, "used"), mustPut(t, s, "free")
	used.Release()
	free.Release()
	free.Release() // counts once
	twice := mustPut(t, s, "held")
	twice.Release()
	n, err := s.Collect(t.Context(), []string{held.Digest, used.Digest, free.Digest, digestOf("not there")}, refs("used"))
	if err != nil || n != 1 {
		t.Errorf("collected %d, %v; want 1", n, err)
	}
	wantFiles(t, dir, "held", "used")
	if _, err := s.Collect(t.Context(), []string{used.Digest}, func(context.Context, []string) ([]string, error) {
		return nil, errors.New("the store can't be read")
	}); err == nil {
		t.Error("a question that failed is no error")
	}
	wantFiles(t, dir, "held", "used")
	held.Release()
	if n, err = s.Sweep(t.Context(), refs("used")); err != nil || n != 1 {
		t.Errorf("swept %d, %v; want 1", n, err)
	}
	wantFiles(t, dir, "used")
}

// The question is answered "nobody", and then somebody comes: the same bytes
// are put, referred to and let go of before the collection goes on.
func TestABlobThatIsReusedInTheMiddleOfACollectionStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, blob.Limits{})
	mustPut(t, s, "a").Release()
	mustPut(t, s, "b").Release()
	n, err := s.Collect(t.Context(), []string{digestOf("a"), digestOf("b")}, func(context.Context, []string) ([]string, error) {
		mustPut(t, s, "a").Release()
		return nil, nil
	})
	if err != nil || n != 1 {
		t.Errorf("collected %d, %v; want 1", n, err)
	}
	wantFiles(t, dir, "a")
}

// A shelf is who refers to what, as a database would tell.
type shelf struct {
	mu   sync.Mutex
	refs map[string]int
}

func (s *shelf) add(digest string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs[digest] += n
}

func (s *shelf) used(_ context.Context, digests []string) (out []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range digests {
		if s.refs[d] > 0 {
			out = append(out, d)
		}
	}
	return out, nil
}

// Many put, refer to, read, forget and collect the same few files at once: what
// is referred to can always be read, and in the end nothing is left.
func TestBlobsUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, blob.Limits{})
	db := &shelf{refs: map[string]int{}}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 60 {
				b, err := s.Put(t.Context(), strings.NewReader(fmt.Sprint("file ", (w+i)%3)))
				if err != nil {
					t.Error(err)
					return
				}
				db.add(b.Digest, 1)
				b.Release()
				f, err := s.Open(b.Digest)
				if err != nil {
					t.Errorf("what is referred to: %v", err)
					return
				}
				_ = f.Close()
				db.add(b.Digest, -1)
				if _, err := s.Collect(t.Context(), []string{b.Digest}, db.used); err != nil {
					t.Error(err)
				}
				if i%20 == 0 {
					if _, err := s.Sweep(t.Context(), db.used); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if _, err := s.Sweep(t.Context(), db.used); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir)
}

func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir(), blob.Limits{})
	data := bytes.Repeat([]byte("x"), 1<<20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		copy(data, fmt.Sprint(n))
		x, err := s.Put(context.Background(), bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		x.Release()
	}
}
