package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine"
)

var _ engine.Inbox = (*Store)(nil)

// receive keeps an arrival, with what the entry before it has made of it.
func (s *Store) receive(e *engine.Receive) error {
	a := e.Arrival
	outcome, of := a.Outcome, a.Run
	if e.Begin != nil {
		outcome, of = engine.ArrivalRun, e.Begin.Run.ID
		if !e.Begin.Existing.IsZero() {
			outcome, of = engine.ArrivalDuplicate, e.Begin.Existing
		}
	}
	var run, body any
	if !of.IsZero() {
		run = of[:]
	}
	if len(a.Body) > 0 {
		body = a.Body
	}
	pairs := make([][2]string, len(a.Header))
	for i, f := range a.Header {
		pairs[i] = [2]string{f.Name, f.Value}
	}
	header, err := json.Marshal(pairs)
	if err != nil {
		return err
	}
	return s.w.exec(&s.w.receive, a.ID[:], int64(a.Graph), a.At.UnixMilli(), int64(outcome), a.Reason, a.Detail, run, int64(a.Missed),
		a.Method, a.Path, a.Query, a.Remote, a.Size, string(header), body)
}

const arrivalColumns = `id, graph, at, outcome, reason, detail, run, missed, method, path, query, remote, size`

func scanArrival(row interface{ Scan(...any) error }, more ...any) (a engine.Arrival, err error) {
	var id, run []byte
	var at int64
	err = row.Scan(append([]any{&id, &a.Graph, &at, &a.Outcome, &a.Reason, &a.Detail, &run, &a.Missed, &a.Method, &a.Path, &a.Query, &a.Remote, &a.Size}, more...)...)
	copy(a.ID[:], id)
	copy(a.Run[:], run)
	a.At = time.UnixMilli(at).UTC()
	return a, err
}

// Arrival implements engine.Inbox.
func (s *Store) Arrival(ctx context.Context, id engine.RunID) (engine.Arrival, error) {
	op := "read event " + id.String()
	var header string
	var body []byte
	a, err := scanArrival(s.read.QueryRowContext(ctx, `SELECT `+arrivalColumns+`, header, body FROM arrivals WHERE id = ?`, id[:]), &header, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return a, &engine.Error{Kind: engine.NotFound, Op: op, Err: errors.New("there is no such event in the inbox")}
	}
	if err != nil {
		return a, fmt.Errorf("%s: %w", op, err)
	}
	var pairs [][2]string
	if err := json.Unmarshal([]byte(header), &pairs); err != nil {
		return a, fmt.Errorf("%s: %w", op, err)
	}
	for _, p := range pairs {
		a.Header.Add(p[0], p[1])
	}
	a.Body = body
	return a, nil
}

// Arrivals implements engine.Inbox.
func (s *Store) Arrivals(ctx context.Context, q engine.ArrivalQuery) (page engine.ArrivalPage, err error) {
	where, args := []string{"1"}, []any{}
	and := func(cond string, a ...any) { where, args = append(where, cond), append(args, a...) }
	if q.Graph != 0 {
		and("graph = ?", int64(q.Graph))
	}
	if len(q.Outcomes) > 0 {
		marks, rare := make([]string, len(q.Outcomes)), true
		for i, o := range q.Outcomes {
			marks[i], args, rare = "?", append(args, int64(o)), rare && o != engine.ArrivalRun
		}
		where = append(where, "outcome IN ("+strings.Join(marks, ",")+")")
		if rare {
			where = append(where, "outcome > 1") // the index has only these
		}
	}
	if q.Cursor != "" {
		b, err := idOfCursor("list events", q.Cursor)
		if err != nil {
			return page, err
		}
		and("id < ?", b)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+arrivalColumns+` FROM arrivals WHERE `+strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return page, fmt.Errorf("list events: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		a, err := scanArrival(rows)
		if err != nil {
			return page, fmt.Errorf("list events: %w", err)
		}
		page.Arrivals = append(page.Arrivals, a)
	}
	if err := rows.Err(); err != nil {
		return page, fmt.Errorf("list events: %w", err)
	}
	if len(page.Arrivals) > limit {
		page.Arrivals = page.Arrivals[:limit]
		last := page.Arrivals[limit-1].ID
		page.Next = hex.EncodeToString(last[:])
	}
	return page, nil
}

// ForgetArrivals implements engine.Inbox.
func (s *Store) ForgetArrivals(ctx context.Context, before time.Time, keep, keepRefused, limit int) (int, error) {
	// Ids sort by time. What is too much is looked for beside the writer.
	last := firstOf(before)
	bound, err := s.behind(ctx, "", keep)
	if err == nil && bytes.Compare(bound, last[:]) < 0 {
		bound = last[:]
	}
	var refused []byte
	if err == nil {
		refused, err = s.behind(ctx, "WHERE outcome > 3", keepRefused)
	}
	if err != nil {
		return 0, fmt.Errorf("forget events: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return 0, errors.New("forget events: the store is closed")
	}
	total := 0
	for _, part := range []struct {
		where string
		bound []byte
	}{{"", bound}, {"outcome > 3 AND ", refused}} {
		if part.bound == nil || total >= limit {
			continue
		}
		res, err := s.conn.ExecContext(ctx, `DELETE FROM arrivals WHERE id IN (SELECT id FROM arrivals WHERE `+part.where+`id <= ? ORDER BY id LIMIT ?)`, part.bound, limit-total)
		if err != nil {
			return total, fmt.Errorf("forget events: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return total, fmt.Errorf("forget events: %w", err)
		}
		total += int(n)
	}
	return total, nil
}

// behind gives the newest id behind the n newest, nil if there are no more.
func (s *Store) behind(ctx context.Context, where string, n int) (id []byte, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT id FROM arrivals `+where+` ORDER BY id DESC LIMIT 1 OFFSET ?`, n).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return id, err
}
