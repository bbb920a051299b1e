package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

// newFile makes the n-th file of tests; its bytes are those of the digest-th.
func newFile(n, digest int) engine.File {
	return engine.File{
		ID: fmt.Sprintf("%032x", n), Digest: strings.Repeat(fmt.Sprintf("%04x", digest), 16),
		Name: fmt.Sprintf("é \"%d\"\x00.png", n), Type: "image/png", Size: int64(n) << 32,
	}
}

func wantFile(t testing.TB, s engine.FileStore, run engine.RunID, want engine.File) {
	t.Helper()
	got, err := s.File(context.Background(), run, want.ID)
	if err != nil {
		t.Errorf("file %s of run %s: %v", want.ID, run, err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func wantNoFile(t testing.TB, s engine.FileStore, run engine.RunID, id string) {
	t.Helper()
	if got, err := s.File(context.Background(), run, id); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("file %q of run %s: %+v, %v; want not_found", id, run, got, err)
	}
}

func filesWithRun(t *testing.T, s Store) {
	one, two := newFile(1, 1), newFile(2, 1)
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)}, &engine.Keep{Run: RunID(1), Files: []engine.File{one, two}})
	wantFile(t, s, RunID(1), one)
	wantFile(t, s, RunID(1), two)

	late := newFile(3, 3)
	err := s.Commit(t.Context(), []engine.Entry{&engine.Keep{Run: RunID(1), Files: []engine.File{late}}, foreign{}})
	if err == nil {
		t.Fatal("an entry of a foreign type was taken")
	}
	wantNoFile(t, s, RunID(1), late.ID)
	mustCommit(t, s, &engine.Keep{Run: RunID(1), Files: []engine.File{late}},
		&engine.Append{Run: RunID(1), Seq: 1, Record: record(engine.RecordSettled, "a", `{"v":1}`)},
		&engine.Finish{Run: RunID(1), State: machine.Succeeded, At: at})
	wantFile(t, s, RunID(1), late)

	// A duplicate has no run, so its files are nobody's.
	first, second := NewRun(2), NewRun(3)
	first.Key, second.Key = "k", "k"
	mustCommit(t, s, &engine.Begin{Run: first})
	mustCommit(t, s, &engine.Begin{Run: second}, &engine.Keep{Run: second.ID, Files: []engine.File{newFile(4, 4)}})
	wantNoFile(t, s, first.ID, newFile(4, 4).ID)
	wantNoFile(t, s, second.ID, newFile(4, 4).ID)
	if used, err := s.Referred(t.Context(), []string{newFile(4, 4).Digest}); err != nil || len(used) != 0 {
		t.Errorf("the duplicate's bytes are referred to: %v, %v", used, err)
	}
}

func filesOfRun(t *testing.T, s Store) {
	f := newFile(1, 1)
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)}, &engine.Keep{Run: RunID(1), Files: []engine.File{f}}, &engine.Begin{Run: NewRun(2)})
	wantFile(t, s, RunID(1), f)
	wantNoFile(t, s, RunID(2), f.ID)
	wantNoFile(t, s, RunID(3), f.ID)
	wantNoFile(t, s, engine.RunID{}, f.ID)
	for _, id := range []string{"", "%", f.ID[:31], strings.ToUpper(f.ID) + " ", f.Digest, "' OR 1=1 --"} {
		wantNoFile(t, s, RunID(1), id)
	}
}

func referred(t *testing.T, s Store) {
	var ask, want []string
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)})
	for n := range 1200 { // more than one statement takes
		f := newFile(n, n)
		ask = append(ask, f.Digest)
		if n%3 == 0 {
			want = append(want, f.Digest)
			mustCommit(t, s, &engine.Keep{Run: RunID(1), Files: []engine.File{f, newFile(n+10_000, n)}})
		}
	}
	got, err := s.Referred(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("referred to (-want +got):\n%s", diff)
	}
	if got, err := s.Referred(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of none: %v, %v", got, err)
	}
}

func deleted(t *testing.T, s Store) {
	run := NewRun(1)
	run.Key = "k"
	shared, own := newFile(1, 1), newFile(2, 2)
	mustCommit(t, s, &engine.Begin{Run: run}, &engine.Keep{Run: run.ID, Files: []engine.File{shared, own}},
		&engine.Append{Run: run.ID, Seq: 1, Record: record(engine.RecordFired, "a!again", "")},
		&engine.Finish{Run: run.ID, State: machine.Failed, At: at},
		&engine.Begin{Run: NewRun(2)}, &engine.Keep{Run: RunID(2), Files: []engine.File{shared}})
	digests, err := s.DeleteRun(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(digests)
	if diff := cmp.Diff([]string{shared.Digest, own.Digest}, digests); diff != "" {
		t.Errorf("digests (-want +got):\n%s", diff)
	}
	if _, _, err := s.Journal(t.Context(), run.ID); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("the run: %v; want not_found", err)
	}
	wantNoFile(t, s, run.ID, own.ID)
	wantFile(t, s, RunID(2), shared)
	if used, err := s.Referred(t.Context(), digests); err != nil || len(used) != 1 || used[0] != shared.Digest {
		t.Errorf("referred to = %v, %v; want the digest that run 2 has", used, err)
	}
	if _, err := s.DeleteRun(t.Context(), run.ID); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("delete again: %v; want not_found", err)
	}
	again := NewRun(3)
	again.Key = "k"
	begin := &engine.Begin{Run: again}
	mustCommit(t, s, begin)
	if begin.Existing != run.ID {
		t.Errorf("its event, sent again, begins %s; want the run that was deleted, %s", begin.Existing, run.ID)
	}
}

func deletedOpen(t *testing.T, s Store) {
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)}, &engine.Keep{Run: RunID(1), Files: []engine.File{newFile(1, 1)}})
	if _, err := s.DeleteRun(t.Context(), RunID(1)); !errors.Is(err, &engine.Error{Kind: engine.Conflict}) {
		t.Errorf("err = %v; want a conflict", err)
	}
	wantFile(t, s, RunID(1), newFile(1, 1))
}

func filesOfEvent(t *testing.T, b *bench) {
	b.version(1, oneStep)
	begun := make(chan machine.Key, 1)
	b.does(hold(begun))
	b.start()
	f := newFile(1, 1)
	accept := func(n int, file engine.File) engine.Accepted {
		t.Helper()
		r := NewRun(n)
		acc, err := b.Accept(t.Context(), []engine.Acceptance{{
			Run: r.ID, Graph: 1, Version: 1, Event: r.Event, At: r.AcceptedAt, Key: "k", Files: []engine.File{file},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return acc[0]
	}
	accept(1, f)
	wantFile(t, b.Files, RunID(1), f)
	if acc := accept(2, newFile(2, 2)); !acc.Duplicate {
		t.Errorf("accepted %+v; want a duplicate", acc)
	}
	wantNoFile(t, b.Files, RunID(1), newFile(2, 2).ID)
	wantNoFile(t, b.Files, RunID(2), newFile(2, 2).ID)
	await(t, begun, "the call")
	b.Crash()
	b.does(ok)
	b.start()
	b.wantEnd(machine.Succeeded, "")
	wantFile(t, b.Files, RunID(1), f)
}

func filesOfOutcome(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act}\n- {id: b, use: test.act}\n")
	begun := make(chan machine.Key, 2)
	stuck := hold(begun)
	f := newFile(1, 1)
	b.does(func(ctx context.Context, j engine.Job) engine.Outcome {
		if j.Effect.Step == "b" {
			return stuck(ctx, j)
		}
		return engine.Outcome{Output: json.RawMessage("1"), Files: []engine.File{f}}
	})
	b.start()
	b.mustAccept(1)
	await(t, begun, "step b")
	wantFile(t, b.Files, RunID(1), f)
	b.Crash()
	last := newFile(2, 2)
	b.does(func(context.Context, engine.Job) engine.Outcome {
		return engine.Outcome{Output: json.RawMessage("2"), Files: []engine.File{last}}
	})
	b.start()
	b.wantEnd(machine.Succeeded, "")
	wantFile(t, b.Files, RunID(1), f)
	wantFile(t, b.Files, RunID(1), last) // of the record that has ended the run
}

func outcomeReleased(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act}\n")
	released := make(chan bool, 9)
	b.does(func(ctx context.Context, _ engine.Job) engine.Outcome {
		return engine.Outcome{Files: []engine.File{newFile(1, 1)}, Release: func() {
			_, err := b.Files.File(context.WithoutCancel(ctx), RunID(1), newFile(1, 1).ID)
			released <- err == nil
		}}
	})
	b.start()
	b.mustAccept(1)
	b.wantEnd(machine.Succeeded, "")
	if durable := await(t, released, "the release"); !durable {
		t.Error("released before the file's row was there")
	}

	begun := make(chan machine.Key, 1)
	b.does(func(ctx context.Context, j engine.Job) engine.Outcome { // taken back: its files are nobody's
		begun <- j.Effect.Key
		<-ctx.Done()
		return engine.Outcome{Err: &machine.Error{Kind: "cancelled"}, Release: func() { released <- true }}
	})
	b.mustAccept(2)
	await(t, begun, "the call")
	if err := b.Signal(t.Context(), RunID(2), machine.Fact{At: machine.Millis(at.UnixMilli()), Of: &machine.Cancel{}}); err != nil {
		t.Fatal(err)
	}
	b.wantEnd(machine.Cancelled, "")
	await(t, released, "the release")
	select {
	case <-released:
		t.Error("released twice")
	default:
	}
}
