package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/enginetest"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/sdk"
)

func open(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	enginetest.RunStore(t, func(t testing.TB, dir string) enginetest.Store { return open(t, dir) })
}

// D6
func TestSecondOpenerIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	_, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	var in *sqlite.InUseError
	if !errors.As(err, &in) || in.Dir != dir || !strings.Contains(err.Error(), "--data") {
		t.Errorf("err = %v; want in use, with what to do", err)
	}
}

// D5
func TestNewerFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.ForTestExec("INSERT INTO goose_db_version(version_id, is_applied) VALUES(999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), dir, sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("err = %v; want a newer version named", err)
	}
}

// D5: the copy is whole, whatever a process that was killed has left.
func TestAnUpgradeKeepsACopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	run := enginetest.NewRun(1)
	if err := s.Commit(t.Context(), []engine.Entry{&engine.Begin{Run: run}}); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"DROP TABLE states", "DROP TABLE files", "DROP TABLE secrets", "DROP TABLE connections", "DROP TABLE tickets", "DROP INDEX keys_until", "DROP TABLE arrivals", "ALTER TABLE keys DROP COLUMN until", "DELETE FROM goose_db_version WHERE version_id > 1"} { // as the first version left it
		if err := s.ForTestExec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "tappet.db.schema-1.part")
	if err := os.WriteFile(half, []byte("half a copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the half copy: %v; want none", err)
	}
	old := filepath.Join(dir, "tappet.db.schema-1")
	st, err := os.Stat(old)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("the copy: %v, %v; want a file of mode 600", st, err)
	}
	back := t.TempDir()
	if err := os.Rename(old, filepath.Join(back, "tappet.db")); err != nil {
		t.Fatal(err)
	}
	restored := open(t, back)
	defer restored.Close()
	if _, _, err := restored.Journal(t.Context(), run.ID); err != nil {
		t.Errorf("the run isn't in the copy: %v", err)
	}
}

// SecurityRule 14
func TestSec14_FilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	defer s.Close()
	if err := s.Commit(t.Context(), []engine.Entry{&engine.Begin{Run: enginetest.NewRun(1)}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "tappet.db": 0o600, "tappet.db-wal": 0o600, "tappet.lock": 0o600} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != want {
			t.Errorf("%q has mode %o; want %o", name, st.Mode().Perm(), want)
		}
	}
}

// W1's two transactions for a group of runs: accept, then settle and end.
func BenchmarkCommit(b *testing.B) {
	// The sizes of W1: what came in, the event that it became, and what the call gave.
	fill := func(n int) string { return strings.Repeat("x", n) }
	event := []byte(`{"body":{"text":"` + fill(470) + `"}}`)
	body := []byte(`{"v":1,"output":{"status":200,"body":"` + fill(390) + `"}}`)
	for _, group := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("group=", group), func(b *testing.B) {
			s := open(b, b.TempDir())
			defer s.Close()
			n := 0
			var settle []engine.Entry // of the batch before: both stand in one commit
			for b.Loop() {
				var entries []engine.Entry
				entries, settle = settle, nil
				for range group {
					r := enginetest.NewRun(n)
					r.Event = event
					n++
					begin := &engine.Begin{Run: r}
					entries = append(entries, begin, &engine.Receive{Begin: begin, Arrival: &engine.Arrival{
						ID: r.ID, Graph: r.Graph, At: r.AcceptedAt, Method: "POST", Path: "w1", Remote: "127.0.0.1:40517", Size: 271,
						Header: sdk.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "User-Agent", Value: fill(80)}}, Body: event[:271],
					}})
					settle = append(settle,
						&engine.Append{Run: r.ID, Seq: 1, Record: engine.Record{Kind: engine.RecordSettled, Path: "entry", At: r.AcceptedAt, Body: body}},
						&engine.Finish{Run: r.ID, State: machine.Succeeded, At: r.AcceptedAt})
				}
				if err := s.Commit(context.Background(), entries); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/run")
		})
	}
}
