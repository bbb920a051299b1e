// Package enginetest holds the promises of the engine's ports as tests, for
// each implementation to pass: [RunStore] for stores, [RunRunner] for runners.
// Each promise is a subtest with its name.
package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/sdk"
)

// Store is all that a store has to be.
type Store interface {
	engine.JournalStore
	engine.GraphStore
	engine.VersionStore
	engine.DigestStore
	engine.FileStore
	engine.ConnectionStore
	engine.TicketStore
	engine.SecretStore
	engine.KeyStore
	engine.Inbox
	Close() error
}

// at is a moment for tests: not long ago, so that no run is over its timeout.
var at = time.Now().UTC().Truncate(time.Millisecond)

// RunID makes the n-th id of tests; they sort by n.
func RunID(n int) engine.RunID {
	id := engine.RunID{6: 0x70, 8: 0x80}
	ms := at.UnixMilli() + int64(n)
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

// NewRun makes the n-th run of graph 1.
func NewRun(n int) engine.Run {
	return engine.Run{
		ID: RunID(n), Graph: 1, Version: 1, State: machine.Running, Attempt: 1,
		AcceptedAt: at.Add(time.Duration(n) * time.Millisecond), Event: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

// RunStore checks a store. open opens the store of a folder: again, for the
// same folder.
func RunStore(t *testing.T, open func(t testing.TB, dir string) Store) {
	fresh := func(t *testing.T) Store {
		t.Helper()
		s := open(t, t.TempDir())
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	tests := map[string]func(*testing.T, Store){
		"the same key begins one run":                          sameKey,
		"what came in is kept with what became of it":          arrivals,
		"the oldest of what came in is forgotten":              forgetArrivals,
		"a key is known until its time is over":                keyUntil,
		"keys whose time is over are forgotten, no others":     forgetKeys,
		"a key belongs to its graph":                           keyOfGraph,
		"a record is written once":                             recordOnce,
		"records come back in their order":                     recordOrder,
		"a finished run isn't open and doesn't change":         finished,
		"the record that ends a run comes last":                lastRecord,
		"open runs come oldest first, in pages":                openPages,
		"lists are newest first and pages don't overlap":       listPages,
		"runs are found by graph, state and time":              listFilters,
		"a failed commit leaves nothing behind":                failedCommit,
		"a run that isn't there is not found":                  noRun,
		"a foreign cursor is a problem":                        foreignCursor,
		"names of graphs are unique, and free after deletion":  graphNames,
		"a graph reads back as it was saved":                   graphRoundTrip,
		"graphs are listed by name, text and state":            graphList,
		"versions count from one and read back":                versions,
		"versions of several graphs are added all or none":     severalVersions,
		"the digests in use are those of open runs and graphs": digestsInUse,
		"a mark is empty at first and the last one wins":       marks,
		"an event is kept byte for byte":                       eventBytes,
		"a trigger's state is kept within its limit":           states,
		"files are written with their run or not at all":       filesWithRun,
		"a file is known under its own run alone":              filesOfRun,
		"a digest is referred to while a run has it":           referred,
		"a deleted run is gone, but for its key":               deleted,
		"a run that is open isn't deleted":                     deletedOpen,
		"a connection reads back as it was saved":              connections,
		"names of connections are unique":                      connectionNames,
		"a ticket is given once, and dropped when it expires":  tickets,
		"a secret reads back as it was put last":               secrets,
	}
	for name, run := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, fresh(t))
		})
	}
	t.Run("what was committed is there when the store is opened again", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := open(t, dir)
		mustCommit(t, s, &engine.Begin{Run: NewRun(1)}, &engine.Move{Mark: engine.Mark{Graph: 1, Trigger: "a.b", Cursor: "c"}})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		defer s.Close()
		got, _, err := s.Journal(t.Context(), RunID(1))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(NewRun(1), got); diff != "" {
			t.Errorf("run (-want +got):\n%s", diff)
		}
		if c, err := s.Mark(t.Context(), 1, "a.b"); err != nil || c != "c" {
			t.Errorf("mark = %q, %v; want c", c, err)
		}
	})
	t.Run("a second opener of the folder is refused", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := open(t, dir)
		defer s.Close()
		refused := &refusal{TB: t}
		func() {
			defer func() { _ = recover() }()
			if s2 := open(refused, dir); s2 != nil && !refused.failed {
				_ = s2.Close()
			}
		}()
		if !refused.failed {
			t.Error("the folder was opened twice")
		}
	})
	t.Run("closing twice is harmless, and a closed store refuses", func(t *testing.T) {
		t.Parallel()
		s := open(t, t.TempDir())
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), []engine.Entry{&engine.Begin{Run: NewRun(1)}}); err == nil {
			t.Error("a closed store took a commit")
		}
	})
}

// refusal is a testing.TB whose failure is what is wanted.
type refusal struct {
	testing.TB
	failed bool
}

func (r *refusal) Fatal(...any)          { r.failed = true; panic(r) }
func (r *refusal) Fatalf(string, ...any) { r.failed = true; panic(r) }
func (r *refusal) Helper()               {}

func mustCommit(t testing.TB, s engine.JournalStore, e ...engine.Entry) {
	t.Helper()
	if err := s.Commit(context.Background(), e); err != nil {
		t.Fatal(err)
	}
}

// newArrival makes the n-th arrival of graph 1.
func newArrival(n int, o engine.ArrivalOutcome) *engine.Arrival {
	return &engine.Arrival{
		ID: RunID(n), Graph: 1, At: at.Add(time.Duration(n) * time.Millisecond), Outcome: o, Reason: "r", Detail: "d", Missed: n,
		Method: "POST", Path: "p", Query: "q=1", Remote: "192.0.2.1:1", Size: 3,
		Header: sdk.Header{{Name: "A", Value: "1"}, {Name: "a", Value: "\"2\""}}, Body: []byte{0xff, 0, '"'},
	}
}

func arrivals(t *testing.T, s Store) {
	first, again := &engine.Begin{Run: NewRun(1)}, &engine.Begin{Run: NewRun(2)}
	first.Run.Key, again.Run.Key = "k", "k"
	a, b, c := newArrival(3, engine.ArrivalRun), newArrival(4, engine.ArrivalRun), newArrival(5, engine.ArrivalRefused)
	c.Graph, c.Body, c.Size = 2, nil, -1
	mustCommit(t, s, first, &engine.Receive{Arrival: a, Begin: first}, again, &engine.Receive{Arrival: b, Begin: again}, &engine.Receive{Arrival: c})
	a.Run, b.Run, b.Outcome = first.Run.ID, first.Run.ID, engine.ArrivalDuplicate
	for _, want := range []*engine.Arrival{a, b, c} {
		got, err := s.Arrival(t.Context(), want.ID)
		if d := cmp.Diff(*want, got); d != "" || err != nil {
			t.Errorf("%v\n%s", err, d)
		}
	}
	if _, err := s.Arrival(t.Context(), RunID(9)); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("one that isn't there: %v", err)
	}
	for _, tt := range []struct {
		q    engine.ArrivalQuery
		want []*engine.Arrival
	}{
		{engine.ArrivalQuery{}, []*engine.Arrival{c, b, a}},
		{engine.ArrivalQuery{Graph: 1}, []*engine.Arrival{b, a}},
		{engine.ArrivalQuery{Outcomes: []engine.ArrivalOutcome{engine.ArrivalRefused, engine.ArrivalDuplicate}}, []*engine.Arrival{c, b}},
		{engine.ArrivalQuery{Outcomes: []engine.ArrivalOutcome{engine.ArrivalRun}}, []*engine.Arrival{a}},
	} {
		tt.q.Limit = 1
		var got []engine.RunID
		for {
			page, err := s.Arrivals(t.Context(), tt.q)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range page.Arrivals {
				got = append(got, x.ID)
			}
			if tt.q.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		var want []engine.RunID
		for _, x := range tt.want {
			want = append(want, x.ID)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%+v: %s", tt.q, d)
		}
	}
}

func forgetArrivals(t *testing.T, s Store) {
	for n := range 12 { // every other one was refused
		o := engine.ArrivalFiltered
		if n%2 == 0 {
			o = engine.ArrivalRefused
		}
		mustCommit(t, s, &engine.Receive{Arrival: newArrival(n, o)})
	}
	left := func() (ns []int) {
		page, err := s.Arrivals(t.Context(), engine.ArrivalQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Arrivals {
			ns = append(ns, a.Missed)
		}
		return ns
	}
	for _, tt := range []struct {
		before                   time.Duration
		keep, keepRefused, limit int
		gone                     int
		left                     []int
	}{
		{0, 12, 6, 100, 0, []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{0, 10, 12, 1, 1, []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}},
		{0, 10, 12, 100, 1, []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2}},
		{0, 100, 3, 100, 2, []int{11, 10, 9, 8, 7, 6, 5, 3}},
		{7 * time.Millisecond, 100, 100, 100, 3, []int{11, 10, 9, 8, 7}},
	} {
		n, err := s.ForgetArrivals(t.Context(), at.Add(tt.before), tt.keep, tt.keepRefused, tt.limit)
		if d := cmp.Diff(tt.left, left()); n != tt.gone || err != nil || d != "" {
			t.Errorf("%+v: forgot %d, %v\n%s", tt, n, err, d)
		}
	}
}

func keyUntil(t *testing.T, s Store) {
	begin := func(n int, after, until time.Duration) *engine.Begin {
		b := &engine.Begin{Run: NewRun(n), KeyUntil: at.Add(until)}
		b.Run.Key, b.Run.AcceptedAt = "k", at.Add(after)
		mustCommit(t, s, b)
		return b
	}
	first := begin(1, 0, time.Hour)
	within := begin(2, time.Hour-time.Millisecond, 2*time.Hour)
	if !first.Existing.IsZero() || within.Existing != first.Run.ID {
		t.Errorf("existing = %s, %s; want none, %s", first.Existing, within.Existing, first.Run.ID)
	}
	// The repeat hasn't made it longer.
	after := begin(3, time.Hour, 2*time.Hour)
	again := begin(4, time.Hour, 3*time.Hour)
	if !after.Existing.IsZero() || again.Existing != after.Run.ID {
		t.Errorf("existing = %s, %s; want none, %s", after.Existing, again.Existing, after.Run.ID)
	}
	good := &engine.Begin{Run: NewRun(5)}
	good.Run.Key = "for good"
	mustCommit(t, s, good)
	repeat := &engine.Begin{Run: NewRun(6), KeyUntil: at.Add(1000 * time.Hour)}
	repeat.Run.Key, repeat.Run.AcceptedAt = "for good", at.Add(999*time.Hour)
	mustCommit(t, s, repeat)
	if repeat.Existing != good.Run.ID {
		t.Errorf("existing = %s, want %s", repeat.Existing, good.Run.ID)
	}
}

func forgetKeys(t *testing.T, s Store) {
	for n := range 6 {
		b := &engine.Begin{Run: NewRun(n), KeyUntil: at.Add(time.Duration(n) * time.Hour)}
		if b.Run.Key = fmt.Sprint(n); n == 0 {
			b.KeyUntil = time.Time{}
		}
		mustCommit(t, s, b)
	}
	for _, want := range []int{2, 1, 0} {
		if n, err := s.ForgetKeys(t.Context(), at.Add(3*time.Hour+time.Millisecond), 2); n != want || err != nil {
			t.Fatalf("forgot %d, %v; want %d", n, err, want)
		}
	}
	for n := range 6 {
		b := &engine.Begin{Run: NewRun(10 + n)} // of a time when no key is over
		b.Run.Key, b.Run.AcceptedAt = fmt.Sprint(n), at
		mustCommit(t, s, b)
		if known := n == 0 || n > 3; known == b.Existing.IsZero() {
			t.Errorf("key %d: existing %s, want one %t", n, b.Existing, known)
		}
	}
}

func sameKey(t *testing.T, s Store) {
	a, b := NewRun(1), NewRun(2)
	a.Key, b.Key = "k", "k"
	first, second := &engine.Begin{Run: a}, &engine.Begin{Run: b}
	mustCommit(t, s, first)
	mustCommit(t, s, second)
	if !first.Existing.IsZero() || second.Existing != a.ID {
		t.Errorf("existing = %s, %s; want none, %s", first.Existing, second.Existing, a.ID)
	}
	c, d := NewRun(3), NewRun(4)
	c.Key, d.Key = "k2", "k2"
	first, second = &engine.Begin{Run: c}, &engine.Begin{Run: d}
	mustCommit(t, s, first, second) // in one transaction too
	if second.Existing != c.ID {
		t.Errorf("existing = %s; want %s", second.Existing, c.ID)
	}
	if _, _, err := s.Journal(t.Context(), b.ID); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("the duplicate was stored: %v", err)
	}
}

func keyOfGraph(t *testing.T, s Store) {
	a, b := NewRun(1), NewRun(2)
	a.Key, b.Key, b.Graph = "k", "k", 2
	second := &engine.Begin{Run: b}
	mustCommit(t, s, &engine.Begin{Run: a}, second)
	if !second.Existing.IsZero() {
		t.Errorf("the key of graph 1 holds in graph 2")
	}
}

func record(kind engine.RecordKind, path machine.Key, body string) engine.Record {
	r := engine.Record{Kind: kind, Path: path, At: at}
	if body != "" {
		r.Body = []byte(body)
	}
	return r
}

func recordOnce(t *testing.T, s Store) {
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)},
		&engine.Append{Run: RunID(1), Seq: 1, Record: record(engine.RecordSettled, "a", `{"v":1}`)})
	mustCommit(t, s,
		&engine.Append{Run: RunID(1), Seq: 2, Record: record(engine.RecordSettled, "a", `{"v":1,"output":2}`)},
		&engine.Append{Run: RunID(1), Seq: 2, Record: record(engine.RecordFired, "a", "")})
	_, got, err := s.Journal(t.Context(), RunID(1))
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.Record{record(engine.RecordSettled, "a", `{"v":1}`), record(engine.RecordFired, "a", "")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func recordOrder(t *testing.T, s Store) {
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)})
	var want []machine.Key
	for i, k := range []machine.Key{"z", "a", "m#2", "m", "a!again"} {
		mustCommit(t, s, &engine.Append{Run: RunID(1), Seq: i + 1, Record: record(engine.RecordFired, k, "")})
		want = append(want, k)
	}
	_, recs, err := s.Journal(t.Context(), RunID(1))
	if err != nil {
		t.Fatal(err)
	}
	var got []machine.Key
	for _, r := range recs {
		got = append(got, r.Path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func finished(t *testing.T, s Store) {
	fault := &machine.Error{Kind: "timeout", Message: "too slow", Step: "a"}
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)}, &engine.Finish{Run: RunID(1), State: machine.Failed, At: at, Err: fault})
	mustCommit(t, s, &engine.Finish{Run: RunID(1), State: machine.Succeeded, At: at.Add(time.Hour)})
	ids, err := s.Open(t.Context(), engine.RunID{}, 10)
	if err != nil || len(ids) != 0 {
		t.Errorf("open = %v, %v; want none", ids, err)
	}
	got, _, err := s.Journal(t.Context(), RunID(1))
	if err != nil {
		t.Fatal(err)
	}
	want := NewRun(1)
	want.State, want.EndedAt, want.Err = machine.Failed, at, fault
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}

func lastRecord(t *testing.T, s Store) {
	first := record(engine.RecordFired, "a!again", "")
	last := record(engine.RecordSettled, "a#2", `{"v":1,"output":[1]}`)
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)}, &engine.Append{Run: RunID(1), Seq: 1, Record: first})
	mustCommit(t, s, &engine.Append{Run: RunID(1), Seq: 2, Record: last}, &engine.Finish{Run: RunID(1), State: machine.Succeeded, At: at})
	run, recs, err := s.Journal(t.Context(), RunID(1))
	if err != nil || run.State != machine.Succeeded {
		t.Fatalf("run = %+v, %v; want succeeded", run, err)
	}
	if diff := cmp.Diff([]engine.Record{first, last}, recs); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func openPages(t *testing.T, s Store) {
	for i := range 7 {
		mustCommit(t, s, &engine.Begin{Run: NewRun(7 - i)})
	}
	var got []engine.RunID
	var after engine.RunID
	for {
		ids, err := s.Open(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) == 0 {
			break
		}
		got = append(got, ids...)
		after = ids[len(ids)-1]
	}
	var want []engine.RunID
	for i := range 7 {
		want = append(want, RunID(i+1))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
}

func listPages(t *testing.T, s Store) {
	for i := range 5 {
		mustCommit(t, s, &engine.Begin{Run: NewRun(i)})
	}
	var got []engine.RunID
	q := engine.RunQuery{Limit: 2}
	for {
		page, err := s.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			got = append(got, r.ID)
			if r.Event != nil {
				t.Error("a list holds an event")
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
		// What is written meanwhile doesn't disturb the pages.
		mustCommit(t, s, &engine.Begin{Run: NewRun(100 + len(got))})
	}
	want := []engine.RunID{RunID(4), RunID(3), RunID(2), RunID(1), RunID(0)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func listFilters(t *testing.T, s Store) {
	for i := range 6 {
		r := NewRun(i)
		r.Graph = engine.GraphID(1 + i%2)
		mustCommit(t, s, &engine.Begin{Run: r})
		if i >= 4 {
			mustCommit(t, s, &engine.Finish{Run: r.ID, State: machine.Succeeded, At: at})
		}
	}
	tests := map[string]struct {
		q    engine.RunQuery
		want []int
	}{
		"graph":         {engine.RunQuery{Graph: 2}, []int{5, 3, 1}},
		"state":         {engine.RunQuery{States: []machine.State{machine.Succeeded}}, []int{5, 4}},
		"two states":    {engine.RunQuery{States: []machine.State{machine.Succeeded, machine.Running}, Graph: 1}, []int{4, 2, 0}},
		"no such state": {engine.RunQuery{States: []machine.State{machine.Cancelled}}, nil},
		"from":          {engine.RunQuery{From: at.Add(4 * time.Millisecond)}, []int{5, 4}},
		"from long ago": {engine.RunQuery{From: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), Limit: 1}, []int{5}},
		"to long ago":   {engine.RunQuery{To: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)}, nil},
		"to":            {engine.RunQuery{To: at.Add(2 * time.Millisecond)}, []int{1, 0}},
		"all of it":     {engine.RunQuery{Graph: 1, States: []machine.State{machine.Running}, From: at.Add(time.Millisecond), To: at.Add(9 * time.Millisecond)}, []int{2}},
	}
	for name, tt := range tests {
		page, err := s.Runs(t.Context(), tt.q)
		if err != nil {
			t.Fatal(name, err)
		}
		var got, want []engine.RunID
		for _, r := range page.Runs {
			got = append(got, r.ID)
		}
		for _, n := range tt.want {
			want = append(want, RunID(n))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

type foreign struct{ engine.Entry }

func failedCommit(t *testing.T, s Store) {
	if err := s.Commit(t.Context(), []engine.Entry{&engine.Begin{Run: NewRun(1)}, foreign{}}); err == nil {
		t.Fatal("an entry of a foreign type was taken")
	}
	if _, _, err := s.Journal(t.Context(), RunID(1)); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("half a commit is there: %v", err)
	}
	mustCommit(t, s, &engine.Begin{Run: NewRun(1)}) // and it goes on
}

func noRun(t *testing.T, s Store) {
	if _, _, err := s.Journal(t.Context(), RunID(9)); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("err = %v; want not_found", err)
	}
}

func foreignCursor(t *testing.T, s Store) {
	for _, c := range []string{"x", "00", "' OR 1=1 --"} {
		if _, err := s.Runs(t.Context(), engine.RunQuery{Cursor: c}); !errors.Is(err, &engine.Error{Kind: engine.Invalid}) {
			t.Errorf("cursor %q: err = %v; want invalid", c, err)
		}
	}
}

func newGraph(name string) engine.StoredGraph {
	return engine.StoredGraph{
		Name: name, Description: "what " + name + " does", Labels: map[string]string{"team": "a"},
		Draft: []byte("name: " + name), DraftFormat: graph.YAML,
		CreatedAt: at, UpdatedAt: at,
	}
}

func mustCreate(t testing.TB, s Store, g engine.StoredGraph) engine.StoredGraph {
	t.Helper()
	id, err := s.CreateGraph(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	g.ID = id
	return g
}

func graphNames(t *testing.T, s Store) {
	a := mustCreate(t, s, newGraph("a"))
	if _, err := s.CreateGraph(t.Context(), newGraph("a")); !errors.Is(err, &engine.Error{Kind: engine.Conflict}) {
		t.Errorf("second a: %v; want conflict", err)
	}
	b := mustCreate(t, s, newGraph("b"))
	b.Name = "a"
	if err := s.UpdateGraph(t.Context(), b); !errors.Is(err, &engine.Error{Kind: engine.Conflict}) {
		t.Errorf("rename to a: %v; want conflict", err)
	}
	if err := s.DeleteGraph(t.Context(), a.ID, at); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteGraph(t.Context(), a.ID, at); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("delete again: %v; want not_found", err)
	}
	if err := s.UpdateGraph(t.Context(), b); err != nil {
		t.Errorf("rename to a freed name: %v", err)
	}
	old, err := s.GraphByID(t.Context(), a.ID)
	if err != nil || old.Name != "a" {
		t.Errorf("the deleted graph = %q, %v; want its old name", old.Name, err)
	}
}

func graphRoundTrip(t *testing.T, s Store) {
	want := mustCreate(t, s, newGraph("a"))
	want.Draft, want.DraftFormat, want.UpdatedAt = []byte(`{"name":"a"}`), graph.JSON, at.Add(time.Second)
	if err := s.UpdateGraph(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := s.SetActive(t.Context(), want.ID, true); err != nil {
		t.Fatal(err)
	}
	want.Active = true
	got, err := s.GraphByName(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("graph (-want +got):\n%s", diff)
	}
	if _, err := s.GraphByName(t.Context(), "none"); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("no graph: %v; want not_found", err)
	}
}

func graphList(t *testing.T, s Store) {
	for _, n := range []string{"c", "a_x", "b"} {
		mustCreate(t, s, newGraph(n))
	}
	b, err := s.GraphByName(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetActive(t.Context(), b.ID, true); err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	tests := map[string]struct {
		q    engine.GraphQuery
		want []string
	}{
		"all":              {engine.GraphQuery{}, []string{"a_x", "b", "c"}},
		"text":             {engine.GraphQuery{Text: "WHAT B"}, []string{"b"}},
		"text, no pattern": {engine.GraphQuery{Text: "_"}, []string{"a_x"}},
		"active":           {engine.GraphQuery{Active: &yes}, []string{"b"}},
		"not active":       {engine.GraphQuery{Active: &no}, []string{"a_x", "c"}},
		"pages":            {engine.GraphQuery{Limit: 2}, []string{"a_x", "b", "c"}},
	}
	for name, tt := range tests {
		var got []string
		for {
			page, err := s.Graphs(t.Context(), tt.q)
			if err != nil {
				t.Fatal(name, err)
			}
			for _, g := range page.Graphs {
				got = append(got, g.Name)
				if g.Draft != nil {
					t.Errorf("%s: the list carries the draft of %s", name, g.Name)
				}
			}
			if tt.q.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func versions(t *testing.T, s Store) {
	g := mustCreate(t, s, newGraph("a"))
	v := engine.Version{
		Graph: g.ID, Document: json.RawMessage(`{"name":"a"}`), Digest: "d1", Evaluator: 1, PublishedAt: at,
		Specs: engine.Specs{
			Trigger: engine.TriggerSpec{Use: "manual.manual", Kind: "manual"},
			Actions: map[string]engine.ActionSpec{"http.post": {Use: "http.post", Input: json.RawMessage(`{"type":"object"}`), Keyed: true}},
			Digests: map[string]string{"feed": "abc"},
		},
	}
	for want := 1; want <= 2; want++ {
		n, err := s.AddVersion(t.Context(), v)
		if err != nil || n != want {
			t.Fatalf("version = %d, %v; want %d", n, err, want)
		}
	}
	v.Number = 2
	got, err := s.Version(t.Context(), g.ID, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, got); diff != "" {
		t.Errorf("version (-want +got):\n%s", diff)
	}
	if g, err = s.GraphByName(t.Context(), "a"); err != nil || g.Version != 2 {
		t.Errorf("newest = %d, %v; want 2", g.Version, err)
	}
	list, err := s.Versions(t.Context(), g.ID)
	if err != nil || len(list) != 2 || list[0].Number != 2 || list[1].Number != 1 {
		t.Errorf("list = %v, %v; want 2, 1", list, err)
	}
	if _, err := s.Version(t.Context(), g.ID, 3); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("version 3: %v; want not_found", err)
	}
	if _, err := s.AddVersion(t.Context(), engine.Version{Graph: 99, Document: json.RawMessage(`{}`)}); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("version of no graph: %v; want not_found", err)
	}
}

func severalVersions(t *testing.T, s Store) {
	a, b, gone := mustCreate(t, s, newGraph("a")), mustCreate(t, s, newGraph("b")), mustCreate(t, s, newGraph("gone"))
	if err := s.DeleteGraph(t.Context(), gone.ID, at); err != nil {
		t.Fatal(err)
	}
	version := func(g engine.GraphID) engine.Version {
		return engine.Version{Graph: g, Document: json.RawMessage(`{}`), Digest: "d", Evaluator: 1, PublishedAt: at}
	}
	newest := func(want int) {
		t.Helper()
		for _, name := range []string{"a", "b"} {
			if g, err := s.GraphByName(t.Context(), name); err != nil || g.Version != want {
				t.Errorf("newest of %s = %d, %v; want %d", name, g.Version, err, want)
			}
		}
	}
	if err := s.AddVersions(t.Context(), nil); err != nil {
		t.Errorf("none: %v", err)
	}
	if err := s.AddVersions(t.Context(), []engine.Version{version(a.ID), version(gone.ID), version(b.ID)}); err != nil {
		t.Fatal(err)
	}
	newest(1)
	bad := version(b.ID)
	bad.Specs.Trigger.Config = json.RawMessage(`{`)
	if err := s.AddVersions(t.Context(), []engine.Version{version(a.ID), bad}); err == nil {
		t.Error("a version that can't be written was taken")
	}
	newest(1)
	if _, err := s.Version(t.Context(), a.ID, 2); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("version 2: %v; want not_found", err)
	}
}

func digestsInUse(t *testing.T, s Store) {
	publish := func(g engine.StoredGraph, digest string) {
		t.Helper()
		v := engine.Version{
			Graph: g.ID, Document: json.RawMessage(`{}`), Digest: "d", Evaluator: 1, PublishedAt: at,
			Specs: engine.Specs{Digests: map[string]string{"feed": digest, "shop": "s"}},
		}
		if _, err := s.AddVersion(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want map[string]bool) {
		t.Helper()
		got, err := s.Digests(t.Context())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("digests (-want +got):\n%s%v", diff, err)
		}
	}
	want(map[string]bool{})
	g := mustCreate(t, s, newGraph("a"))
	want(map[string]bool{}) // nothing is published
	publish(g, "1")
	want(map[string]bool{"1": false, "s": false})
	if err := s.SetActive(t.Context(), g.ID, true); err != nil {
		t.Fatal(err)
	}
	want(map[string]bool{"1": true, "s": true})
	r := NewRun(1)
	r.Graph = g.ID
	mustCommit(t, s, &engine.Begin{Run: r})
	publish(g, "2")
	want(map[string]bool{"1": true, "2": true, "s": true})
	if err := s.DeleteGraph(t.Context(), g.ID, at); err != nil {
		t.Fatal(err)
	}
	want(map[string]bool{"1": true, "s": true})
	mustCommit(t, s, &engine.Finish{Run: r.ID, State: machine.Succeeded, At: at})
	want(map[string]bool{})
}

func marks(t *testing.T, s Store) {
	c, err := s.Mark(t.Context(), 1, "feed.new_item")
	if err != nil || c != "" {
		t.Fatalf("mark = %q, %v; want none", c, err)
	}
	for _, c := range []string{"1", "2"} {
		mustCommit(t, s, &engine.Move{Mark: engine.Mark{Graph: 1, Trigger: "feed.new_item", Cursor: c}})
	}
	if c, err = s.Mark(t.Context(), 1, "feed.new_item"); err != nil || c != "2" {
		t.Errorf("mark = %q, %v; want 2", c, err)
	}
	if c, err = s.Mark(t.Context(), 2, "feed.new_item"); err != nil || c != "" {
		t.Errorf("mark of another graph = %q, %v; want none", c, err)
	}
}

func states(t *testing.T, s Store) {
	const limit = 20
	set := func(g engine.GraphID, trigger, key, value string) error {
		t.Helper()
		return s.SetState(t.Context(), g, trigger, key, []byte(value), limit)
	}
	want := func(g engine.GraphID, trigger, key, value string) {
		t.Helper()
		if v, err := s.State(t.Context(), g, trigger, key); err != nil || string(v) != value || (v == nil) != (value == "") {
			t.Errorf("state %d %s %s = %q, %v; want %q", g, trigger, key, v, err, value)
		}
	}
	want(1, "a.b", "k", "")
	for _, x := range []struct {
		g            engine.GraphID
		trigger, key string
		value        string
		fits         bool
	}{
		{1, "a.b", "k", "123456789", true},
		{1, "a.b", "k", "1234567890", true}, // in place of the other
		{2, "a.b", "k", "other graph", true},
		{1, "a.c", "k", "other trigger", true},
		{1, "a.b", "é", "1234567", true},
		{1, "a.b", "é", "12345678", false},
		{1, "a.b", "l", "1", false},
		{1, "a.b", "k", "", true},
		{1, "a.b", "l", "1", true},
	} {
		err := set(x.g, x.trigger, x.key, x.value)
		if x.fits && err != nil || !x.fits && !errors.Is(err, &engine.Error{Kind: engine.TooLarge}) {
			t.Errorf("set %+v: %v", x, err)
		}
	}
	want(1, "a.b", "k", "")
	want(1, "a.b", "é", "1234567")
	want(1, "a.b", "l", "1")
	want(2, "a.b", "k", "other graph")
	want(1, "a.c", "k", "other trigger")
}

func eventBytes(t *testing.T, s Store) {
	r := NewRun(1)
	r.Event = json.RawMessage(`{ "n": 12345678901234567890, "u": "\u00e9é", "n": 1.10 }`)
	mustCommit(t, s, &engine.Begin{Run: r})
	got, _, err := s.Journal(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Event) != string(r.Event) {
		t.Errorf("event = %s; want %s", got.Event, r.Event)
	}
}
