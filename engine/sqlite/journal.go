package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

// The states as they are stored. Those below 3 are open: an index says so.
var states = []machine.State{machine.Queued, machine.Running, machine.Waiting, machine.Succeeded, machine.Failed, machine.Cancelled}

func stateNumber(s machine.State) int {
	for i, x := range states {
		if x == s {
			return i
		}
	}
	return 1
}

// Commit implements engine.JournalStore.
func (s *Store) Commit(_ context.Context, entries []engine.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		return errors.New("commit: the store is closed")
	}
	// A transaction is short and isn't cut: nobody could tell what became of it.
	err := s.w.exec(&s.w.begin)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for i := 0; i < len(entries) && err == nil; i++ {
		if last, end, ok := ending(entries[i:]); ok {
			err = s.finish(end, last)
			i++
			continue
		}
		err = s.write1(entries[i])
	}
	if err == nil {
		err = s.w.exec(&s.w.commit)
	}
	if err != nil {
		for _, e := range entries {
			if b, ok := e.(*engine.Begin); ok {
				b.Existing = engine.RunID{}
			}
		}
		// A failed COMMIT may have rolled back by itself: then this one fails.
		_ = s.w.exec(&s.w.rollback)
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// write1 writes one entry inside the open transaction.
func (s *Store) write1(e engine.Entry) error {
	switch e := e.(type) {
	case *engine.Begin:
		return s.begin(e)
	case *engine.Append:
		r := &e.Record
		return s.w.exec(&s.w.append, e.Run[:], string(r.Path), int64(r.Kind), int64(e.Seq), r.At.UnixMilli(), r.Body)
	case *engine.Finish:
		return s.finish(e, nil)
	case *engine.Keep:
		return s.keep(e)
	case *engine.Receive:
		return s.receive(e)
	case *engine.Move:
		return s.w.exec(&s.w.move, int64(e.Mark.Graph), e.Mark.Trigger, e.Mark.Cursor)
	}
	return fmt.Errorf("unknown entry %T", e)
}

// ending says whether entries begin with a record and the end that it has led to.
func ending(entries []engine.Entry) (*engine.Record, *engine.Finish, bool) {
	if len(entries) < 2 {
		return nil, nil, false
	}
	a, ok := entries[0].(*engine.Append)
	f, ok2 := entries[1].(*engine.Finish)
	if !ok || !ok2 || a.Run != f.Run {
		return nil, nil, false
	}
	return &a.Record, f, true
}

// finish ends a run, with the record that has ended it.
func (s *Store) finish(e *engine.Finish, last *engine.Record) error {
	var fault any
	if e.Err != nil {
		c := *e.Err
		c.Data = nil // stands in the record
		b, err := json.Marshal(&c)
		if err != nil {
			return err
		}
		fault = string(b)
	}
	state, at := int64(stateNumber(e.State)), e.At.UnixMilli()
	if last == nil {
		return s.w.exec(&s.w.finish, state, at, fault, e.Run[:])
	}
	return s.w.exec(&s.w.finishWith, state, at, fault, string(last.Path), int64(last.Kind), last.At.UnixMilli(), last.Body, e.Run[:])
}

func (s *Store) begin(e *engine.Begin) error {
	r := &e.Run
	var key any
	if r.Key != "" {
		key = r.Key
		var until any
		if !e.KeyUntil.IsZero() {
			until = e.KeyUntil.UnixMilli()
		}
		n, err := s.w.changes(&s.w.key, int64(r.Graph), r.Key, r.ID[:], until, r.AcceptedAt.UnixMilli())
		if err != nil {
			return err
		}
		if n == 0 {
			id, err := s.w.bytes(&s.w.keyRun, int64(r.Graph), r.Key)
			copy(e.Existing[:], id)
			return err
		}
	}
	return s.w.exec(&s.w.beginRun, r.ID[:], int64(r.Graph), int64(r.Version), int64(stateNumber(r.State)), int64(r.Attempt), r.AcceptedAt.UnixMilli(), key, []byte(r.Event))
}

const runColumns = `id, graph, version, state, attempt, accepted_at, ended_at, key, error`

func scanRun(row interface{ Scan(...any) error }, more ...any) (engine.Run, error) {
	var (
		r          engine.Run
		id         []byte
		state      int
		accepted   int64
		ended      sql.NullInt64
		key, fault sql.NullString
	)
	if err := row.Scan(append([]any{&id, &r.Graph, &r.Version, &state, &r.Attempt, &accepted, &ended, &key, &fault}, more...)...); err != nil {
		return r, err
	}
	copy(r.ID[:], id)
	if state < 0 || state >= len(states) {
		return r, fmt.Errorf("run %s: unknown state %d", r.ID, state)
	}
	r.State, r.AcceptedAt, r.Key = states[state], time.UnixMilli(accepted).UTC(), key.String
	if ended.Valid {
		r.EndedAt = time.UnixMilli(ended.Int64).UTC()
	}
	if fault.Valid {
		r.Err = new(machine.Error)
		if err := json.Unmarshal([]byte(fault.String), r.Err); err != nil {
			return r, fmt.Errorf("run %s: %w", r.ID, err)
		}
	}
	return r, nil
}

// Journal implements engine.JournalStore.
func (s *Store) Journal(ctx context.Context, id engine.RunID) (engine.Run, []engine.Record, error) {
	op := "read run " + id.String()
	var event, lastBody []byte
	var lastPath sql.NullString
	var lastKind, lastAt sql.NullInt64
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return engine.Run{}, nil, fmt.Errorf("%s: %w", op, err)
	}
	defer func() { _ = tx.Rollback() }()
	r, err := scanRun(tx.QueryRowContext(ctx, `SELECT `+runColumns+`, event, last_path, last_kind, last_at, last_body FROM runs WHERE id = ?`, id[:]),
		&event, &lastPath, &lastKind, &lastAt, &lastBody)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil, &engine.Error{Kind: engine.NotFound, Op: op, Err: errors.New("there is no such run")}
	}
	if err != nil {
		return r, nil, fmt.Errorf("%s: %w", op, err)
	}
	r.Event = event
	rows, err := tx.QueryContext(ctx, `SELECT kind, path, at, body FROM journal WHERE run = ? ORDER BY seq`, id[:])
	if err != nil {
		return r, nil, fmt.Errorf("%s: %w", op, err)
	}
	defer rows.Close()
	var recs []engine.Record
	for rows.Next() {
		var rec engine.Record
		var at int64
		if err := rows.Scan(&rec.Kind, &rec.Path, &at, &rec.Body); err != nil {
			return r, nil, fmt.Errorf("%s: %w", op, err)
		}
		rec.At = time.UnixMilli(at).UTC()
		recs = append(recs, rec)
	}
	if err := rows.Err(); err != nil {
		return r, nil, fmt.Errorf("%s: %w", op, err)
	}
	if lastPath.Valid {
		recs = append(recs, engine.Record{
			Kind: engine.RecordKind(lastKind.Int64), Path: machine.Key(lastPath.String),
			At: time.UnixMilli(lastAt.Int64).UTC(), Body: lastBody,
		})
	}
	return r, recs, nil
}

// Open implements engine.JournalStore.
func (s *Store) Open(ctx context.Context, after engine.RunID, limit int) ([]engine.RunID, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id FROM runs INDEXED BY runs_open WHERE state < 3 AND id > ? ORDER BY id LIMIT ?`, after[:], limit)
	if err != nil {
		return nil, fmt.Errorf("list open runs: %w", err)
	}
	defer rows.Close()
	var out []engine.RunID
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, fmt.Errorf("list open runs: %w", err)
		}
		var id engine.RunID
		copy(id[:], b)
		out = append(out, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list open runs: %w", err)
	}
	return out, nil
}

// Runs implements engine.JournalStore.
func (s *Store) Runs(ctx context.Context, q engine.RunQuery) (engine.RunPage, error) {
	var page engine.RunPage
	where, args := []string{"1"}, []any{}
	and := func(cond string, a ...any) { where, args = append(where, cond), append(args, a...) }
	if q.Graph != 0 {
		and("graph = ?", int64(q.Graph))
	}
	if len(q.States) > 0 {
		marks := make([]string, len(q.States))
		for i, st := range q.States {
			marks[i], args = "?", append(args, stateNumber(st))
		}
		where = append(where, "state IN ("+strings.Join(marks, ",")+")")
	}
	// Ids sort by time, so that a bound on time is a bound on ids, which has an index.
	if !q.From.IsZero() {
		id := firstOf(q.From)
		and("id >= ?", id[:])
	}
	if !q.To.IsZero() {
		id := firstOf(q.To)
		and("id < ?", id[:])
	}
	if q.Cursor != "" {
		b, err := idOfCursor("list runs", q.Cursor)
		if err != nil {
			return page, err
		}
		and("id < ?", b)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+runColumns+` FROM runs WHERE `+strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return page, fmt.Errorf("list runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return page, fmt.Errorf("list runs: %w", err)
		}
		page.Runs = append(page.Runs, r)
	}
	if err := rows.Err(); err != nil {
		return page, fmt.Errorf("list runs: %w", err)
	}
	if len(page.Runs) > limit {
		page.Runs = page.Runs[:limit]
		last := page.Runs[limit-1].ID
		page.Next = hex.EncodeToString(last[:])
	}
	return page, nil
}

// idOfCursor reads the cursor of a list by id: the last id of the page before.
func idOfCursor(op, cursor string) ([]byte, error) {
	b, err := hex.DecodeString(cursor)
	if err != nil || len(b) != 16 {
		return nil, &engine.Error{Kind: engine.Invalid, Op: op, Problems: []engine.Problem{{
			Pointer: "/cursor", Code: "cursor", Message: "is no cursor of this list", Suggestion: "use next_cursor of the page before, or leave it out",
		}}}
	}
	return b, nil
}

// firstOf gives the least UUIDv7 of a millisecond (RFC 9562, 5.7), which is
// counted in 48 bits from 1970; times before and after get the nearest.
func firstOf(t time.Time) (id engine.RunID) {
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}
