package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

// The size of the crash test.
const (
	crashKills = 50
	// crashClients send at once; at each kill at least crashFlying of their
	// requests are unanswered.
	crashClients = 256
	crashFlying  = 100
	// crashBatch is how many kills pass between two looks at what was lost: for
	// those the open runs must have ended.
	crashBatch = 10
	// crashDelay bounds the random time between a life's first acknowledgement
	// and its end.
	crashDelay = 150 * time.Millisecond
)

// TestCrash kills the program under load. Every acknowledged event must reach
// /b, and no /a may come after its /b (D1, D2, D3).
func TestCrash(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	kills := crashKills
	if testing.Short() {
		kills = 5
	}
	c := newCrash(t, binary(t), kills)
	c.run(t)
	if c.lost != 0 || c.repeated != 0 {
		t.Errorf("%d acknowledged events were lost, %d committed steps were repeated", c.lost, c.repeated)
	}
	// Without these the test could pass though nothing was interrupted.
	if c.cut == 0 {
		t.Error("no event that was acknowledged before a kill was still open at it")
	}
	if c.resent == 0 {
		t.Error("no effect was sent again after a kill")
	}
	if c.doubts == 0 {
		t.Error("no run has an attempt in doubt")
	}
}

// TestCrashControl is the crash test of a program that acknowledges before it
// commits: if nothing is found here, TestCrash finds nothing either.
func TestCrashControl(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	c := newCrash(t, build(t, "cmd/tappet", "", "tappet_control"), crashKills)
	c.untilLoss = true
	c.run(t)
	if c.lost == 0 {
		t.Errorf("%d kills of a program that acknowledges before the commit, and no loss was found", c.kills)
	}
}

// TestCrashVerdict: what the driver counts as lost and as repeated.
func TestCrashVerdict(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		acked                  bool
		came                   string
		lost, repeated, resent int
	}{
		{true, "ab", 0, 0, 0},
		{true, "aabb", 0, 0, 2}, // in doubt, and sent again: at least once
		{true, "aba", 0, 1, 1},
		{true, "a", 1, 0, 0},
		{true, "", 1, 0, 0},
		{false, "a", 0, 0, 0},
		{false, "abba", 0, 1, 2},
	} {
		c := &crash{events: []event{{}, {acked: x.acked}}}
		for _, path := range x.came {
			c.record(httptest.NewRequest(http.MethodPost, "/"+string(path)+"?id=1", nil), nil)
		}
		c.count()
		if c.lost != x.lost || c.repeated != x.repeated || c.resent != x.resent {
			t.Errorf("%+v: %d lost, %d repeated, %d resent", x, c.lost, c.repeated, c.resent)
		}
	}
}

// A crash is the driver of the crash test.
type crash struct {
	bin   string
	data  string
	sink  *bench.Sink
	rnd   *rand.Rand
	kills int
	// untilLoss ends the test at the first loss.
	untilLoss bool

	mu     sync.Mutex
	events []event
	sample []string // ids of runs that were open at a kill

	lost, repeated int
	cut, resent    int
	doubts         int
}

// An event is what is known of one event.
type event struct {
	acked bool
	// a and b count the requests that the sink has had.
	a, b int
	// late says that an /a came after a /b.
	late bool
}

func newCrash(t *testing.T, bin string, kills int) *crash {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("TAPPET_CRASH_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("TAPPET_CRASH_SEED: %v", err)
		}
	}
	t.Logf("the moments of the kills are of TAPPET_CRASH_SEED=%d", seed)
	c := &crash{bin: bin, kills: kills, data: filepath.Join(t.TempDir(), "data"), rnd: rand.New(rand.NewPCG(seed, 0))}
	c.sink = newSink(t, c.record)
	return c
}

const crashGraph = `name: crash
trigger: {use: webhook, with: {path: crash}}
steps:
  - id: a
    use: http.post
    with: {url: %[1]s/a, query: {id: "${{ trigger.body.id }}"}}
    on_unknown: retry
    retry: {max_attempts: 5, initial_interval: 100ms}
  - id: b
    use: http.post
    with: {url: %[1]s/b, query: {id: "${{ trigger.body.id }}"}}
    on_unknown: retry
    retry: {max_attempts: 5, initial_interval: 100ms}
`

// record notes a request of the sink.
func (c *crash) record(r *http.Request, _ []byte) {
	id, err := strconv.Atoi(r.URL.Query().Get("id"))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || id < 0 || id >= len(c.events) {
		return // not an event of ours: it will be missed
	}
	e := &c.events[id]
	switch r.URL.Path {
	case "/a":
		e.a++
		e.late = e.late || e.b > 0
	case "/b":
		e.b++
	}
}

// run kills until there were enough, and judges.
func (c *crash) run(t *testing.T) {
	s := c.start(t)
	s.deploy(t, "crash", fmt.Sprintf(crashGraph, c.sink.URL))
	done := 0
	for lives := 0; done < c.kills; lives++ {
		if lives > 2*c.kills {
			t.Fatalf("only %d of %d lives ended with %d unanswered requests", done, lives, crashFlying)
		}
		counts := c.life(t, s) >= crashFlying
		if counts {
			done++
		}
		s = c.start(t)
		c.keep(t, s)
		if counts && (done%crashBatch == 0 || done == c.kills) {
			s.idle(t)
			if c.count(); c.untilLoss && c.lost > 0 {
				break
			}
		}
	}
	c.look(t, s)
	t.Logf("%d kills, %d events, %d were acknowledged and open at a kill, %d effects were sent again, %d attempts in doubt of %d runs: %d lost, %d repeated",
		done, len(c.events), c.cut, c.resent, c.doubts, len(c.sample), c.lost, c.repeated)
	if err := s.Interrupt(patience); err != nil {
		t.Error(err)
	}
}

func (c *crash) start(t *testing.T) *server {
	t.Helper()
	return startBinary(t, c.bin, c.data, "--egress-allow", hostport(c.sink.URL), "--log-level", "warn")
}

// life loads a server, kills it at a random moment, and gives how many requests
// were unanswered then.
func (c *crash) life(t *testing.T, s *server) (unanswered int) {
	t.Helper()
	var (
		killed  atomic.Bool
		first   = make(chan struct{})
		once    sync.Once
		before  = map[int]bool{} // requests that began before the kill
		pending = len(c.events)
	)
	load := &bench.Load{
		URL: s.URL + "/hooks/crash", Clients: crashClients, Count: 1 << 30,
		Body: func(n int) []byte {
			c.mu.Lock()
			defer c.mu.Unlock()
			for len(c.events) <= pending+n {
				c.events = append(c.events, event{})
			}
			before[n] = !killed.Load()
			return fmt.Appendf(nil, `{"id":%d}`, pending+n)
		},
		Done: func(n, status int, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			switch {
			case status/100 == 2:
				c.events[pending+n].acked = true
				once.Do(func() { close(first) })
			case status == 0 && before[n]:
				unanswered++
			}
			delete(before, n)
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	loaded := make(chan error, 1)
	go func() { _, err := load.Run(ctx); loaded <- err }()
	c.wait(t, s, load, first)
	killed.Store(true)
	if err := s.Kill(); err != nil {
		t.Fatalf("kill: %v", err)
	}
	cancel()
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	quiet, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	// What the dead process had sent is read before the next one sends.
	if err := c.sink.Quiet(quiet); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events[pending:] {
		if e.acked && e.b == 0 {
			c.cut++
		}
	}
	return unanswered
}

// wait returns at a random moment at which enough requests are under way.
func (c *crash) wait(t *testing.T, s *server, load *bench.Load, first <-chan struct{}) {
	t.Helper()
	end := time.After(patience)
	select {
	case <-first:
	case <-s.Dead():
		t.Fatal("the program ended by itself")
	case <-end:
		t.Fatal("no event was acknowledged")
	}
	<-time.After(time.Duration(c.rnd.Int64N(int64(crashDelay))))
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for load.Flying() < crashFlying {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never %d requests under way", crashFlying)
		}
	}
}

// keep remembers some runs that the last kill has left open.
func (c *crash) keep(t *testing.T, s *server) {
	t.Helper()
	p, err := s.Runs(t.Context(), client.RunQuery{States: []string{"running"}, Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Items {
		c.sample = append(c.sample, r.ID)
	}
}

// count tells what was lost and repeated; no run may be open.
func (c *crash) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost, c.repeated, c.resent = 0, 0, 0
	for _, e := range c.events {
		if e.acked && e.b == 0 {
			c.lost++
		}
		if e.late {
			c.repeated++
		}
		c.resent += max(0, e.a-1) + max(0, e.b-1)
	}
}

// look counts the attempts in doubt of the kept runs, each of which must have
// succeeded.
func (c *crash) look(t *testing.T, s *server) {
	t.Helper()
	for _, id := range c.sample {
		r := s.ended(t, id)
		if r.State != "succeeded" {
			t.Errorf("run %s has %s: %+v", id, r.State, r.Error)
		}
		for _, step := range r.Steps {
			for _, a := range step.Attempts {
				if a.State == "in_doubt" {
					c.doubts++
				}
			}
		}
	}
}
