//go:build unix

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// The size of the test of duplicates.
const (
	sameEvents  = 1_000
	sameCopies  = 10
	sameClients = 64
	sameKills   = 4
)

// A life is a server until it is killed.
type life struct {
	url string
	// over is closed when another one has come.
	over chan struct{}
}

// copies sends each of some events several times.
type copies struct {
	life  atomic.Pointer[life]
	acked atomic.Int64

	mu sync.Mutex
	// runs are those that the copies of each event were told of.
	runs map[int]map[string]bool
	// first counts the answers that didn't say "duplicate".
	first map[int]int
}

// send sends a copy until it is taken.
func (c *copies) send(ctx context.Context, hc *http.Client, id int) error {
	for ctx.Err() == nil {
		l := c.life.Load()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/hooks/same", strings.NewReader(fmt.Sprintf(`{"id":%d}`, id)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := hc.Do(req)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if err != nil { // the server was killed: the next one comes
			select {
			case <-l.over:
			case <-ctx.Done():
			}
			continue
		}
		switch resp.StatusCode {
		case http.StatusAccepted:
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			continue
		default:
			return fmt.Errorf("event %d: %s: %s", id, resp.Status, body)
		}
		var a struct {
			Run       string `json:"run"`
			Duplicate bool   `json:"duplicate"`
		}
		if err := json.Unmarshal(body, &a); err != nil {
			return err
		}
		c.mu.Lock()
		if c.runs[id] == nil {
			c.runs[id] = map[string]bool{}
		}
		c.runs[id][a.Run] = true
		if !a.Duplicate {
			c.first[id]++
		}
		c.mu.Unlock()
		c.acked.Add(1)
		return nil
	}
	return context.Cause(ctx)
}

// sendAll sends copies of events over many connections, kills the server in
// between, and gives the runs that there are then.
func sendAll(t *testing.T, doc string, events, kills int) (*copies, []client.Run) {
	t.Helper()
	ctx, _ := contextWithin(t)
	data := t.TempDir()
	s := start(t, data, "--log-level", "warn")
	s.deploy(t, "same", doc)
	c := &copies{runs: map[int]map[string]bool{}, first: map[int]int{}}
	c.life.Store(&life{url: s.URL, over: make(chan struct{})})
	work := make(chan int, events*sameCopies)
	for _, n := range rand.New(rand.NewPCG(1, 2)).Perm(events * sameCopies) {
		work <- n % events
	}
	close(work)
	hc := &http.Client{Transport: transport(t)}
	var senders sync.WaitGroup
	errs := make(chan error, sameClients)
	for range sameClients {
		senders.Go(func() {
			for id := range work {
				if err := c.send(ctx, hc, id); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for k := range kills {
		part := int64(events * sameCopies * (k + 1) / (kills + 1))
		eventually(t, "answers", func() (bool, any) { n := c.acked.Load(); return n >= part, n })
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		s = start(t, data, "--log-level", "warn")
		s.wantReady(t)
		old := c.life.Swap(&life{url: s.URL, over: make(chan struct{})})
		close(old.over)
	}
	senders.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	s.idle(t)
	var runs []client.Run
	for q := (client.RunQuery{Limit: 200}); ; {
		p, err := s.Runs(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, p.Items...)
		if q.Cursor = p.NextCursor; q.Cursor == "" {
			return c, runs
		}
	}
}

const sameGraph = "name: same\ntrigger: {use: webhook, with: {path: same}}\n%ssteps:\n  - {id: a, set: \"${{ trigger.body }}\"}\n"

// TestCopiesOfAnEventAreOneRun: whoever is killed in between, and however many
// copies come at once, an event is one run, and each copy is told which.
func TestCopiesOfAnEventAreOneRun(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	c, runs := sendAll(t, fmt.Sprintf(sameGraph, "dedupe: {key: trigger.body.id}\n"), sameEvents, sameKills)
	if len(runs) != sameEvents {
		t.Errorf("%d runs, want %d", len(runs), sameEvents)
	}
	for _, r := range runs {
		if r.State != "succeeded" {
			t.Errorf("run %s: %s", r.ID, r.State)
		}
	}
	for id := range sameEvents {
		if len(c.runs[id]) != 1 || c.first[id] > 1 {
			t.Errorf("event %d: its copies were told of the runs %v, %d times of a new one", id, c.runs[id], c.first[id])
		}
	}
	if c.acked.Load() != sameEvents*sameCopies {
		t.Errorf("%d copies were taken, want all", c.acked.Load())
	}
}

// TestCopiesOfAnEventControl: without a key each copy is a run of its own.
func TestCopiesOfAnEventControl(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	if _, runs := sendAll(t, fmt.Sprintf(sameGraph, ""), 10, 0); len(runs) != 10*sameCopies {
		t.Errorf("%d runs, want %d", len(runs), 10*sameCopies)
	}
}
