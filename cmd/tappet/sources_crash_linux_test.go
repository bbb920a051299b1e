package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// sourceKills is how often the crash test of sources kills the plugins, the
// program, or both.
const sourceKills = 9

// The counters: the same source on both pipes.
const (
	nativeCounter = "counter"
	wasmCounter   = "counter_renamed"
)

// sourceKinds are the counters' triggers, one of each kind.
func sourceKinds() []string { return []string{"stream", "poll", "hook"} }

const counterGraph = `name: %[1]s
trigger: {use: %[2]s.%[3]s, with: {journal: %[4]s}%[5]s}
steps:
  - {id: a, set: "${{ trigger.n }}"}
`

// TestSourceCrash kills plugin instances, plugin processes and the program while
// a stream, a poll and a webhook count on each pipe: what was acknowledged to
// the source is a run, and no number is lost or comes twice, since cursor, keys
// and events are committed together.
func TestSourceCrash(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	kills := sourceKills
	if testing.Short() {
		kills = 3
	}
	f := newCounters(t, binary(t))
	f.kill(kills, func() bool { return false })
	f.rest()
	for graph, c := range f.counts() {
		t.Logf("%s: %s", graph, c)
		if c.lost != 0 || c.repeated != 0 || c.runs == 0 || c.acknowledged == 0 {
			t.Errorf("%s: %s", graph, c)
		}
	}
}

// TestSourceCrashControl is TestSourceCrash of a program that commits a cursor
// before its events: if no loss of a stream and of a poll is found here, that
// test finds none either.
func TestSourceCrashControl(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	f := newCounters(t, build(t, "cmd/tappet", "", "tappet_control_cursor"))
	lost := map[string]bool{}
	f.kill(3*sourceKills, func() bool {
		for graph, c := range f.counts() {
			_, kind, _ := strings.Cut(graph, "-")
			lost[kind] = lost[kind] || c.lost > 0
		}
		return lost["stream"] && lost["poll"]
	})
	if !lost["stream"] || !lost["poll"] {
		t.Errorf("%d kills of a program that commits the cursor first, and a loss was found of these: %v", 3*sourceKills, lost)
	}
}

// TestSourceVerdict: what is counted as lost and as repeated.
func TestSourceVerdict(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		numbers, acknowledged []int
		lost, repeated        int
	}{
		{[]int{3, 1, 2}, []int{1, 2, 3}, 0, 0},
		{[]int{1, 2}, []int{1}, 0, 0},
		{[]int{1, 2}, []int{1, 2, 3, 4}, 2, 0},
		{[]int{1, 3, 3, 3}, []int{2}, 1, 2},
	} {
		if c := judge(x.numbers, x.acknowledged); c.lost != x.lost || c.repeated != x.repeated {
			t.Errorf("%v of %v: %s", x.numbers, x.acknowledged, c)
		}
	}
}

// A count is what became of the numbers of one graph.
type count struct{ runs, acknowledged, lost, repeated int }

func (c count) String() string {
	return fmt.Sprintf("%d acknowledged, %d runs: %d lost, %d again", c.acknowledged, c.runs, c.lost, c.repeated)
}

func judge(numbers, acknowledged []int) count {
	c := count{runs: len(numbers), acknowledged: len(acknowledged)}
	seen := map[int]bool{}
	for _, n := range numbers {
		if seen[n] {
			c.repeated++
		}
		seen[n] = true
	}
	for _, n := range acknowledged {
		if !seen[n] {
			c.lost++
		}
	}
	return c
}

// counters is a server with a counter on each pipe, each with a graph for each
// kind of trigger, and the journal of what was acknowledged to them.
type counters struct {
	t       *testing.T
	bin     string
	data    string
	journal *httptest.Server
	rnd     *rand.Rand
	s       atomic.Pointer[server]
	stop    func()

	mu sync.Mutex
	// upTo is what a stream or a poll told that all numbers up to it were
	// acknowledged, posted the numbers whose request was answered 202, by graph.
	upTo   map[string]int
	posted map[string][]int
	// doomed are the graphs whose instance is to die at its next word.
	doomed map[string]bool
	// polled has a value when a poll has just begun.
	polled chan struct{}
}

func newCounters(t *testing.T, bin string) *counters {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("the kills are of seed %d", seed)
	f := &counters{
		t: t, bin: bin, data: filepath.Join(t.TempDir(), "data"), rnd: rand.New(rand.NewPCG(seed, 0)),
		upTo: map[string]int{}, posted: map[string][]int{}, doomed: map[string]bool{}, polled: make(chan struct{}, 1),
	}
	f.journal = httptest.NewServer(http.HandlerFunc(f.note))
	t.Cleanup(f.journal.Close)
	f.start()
	const source = "cmd/tappet/testdata/counter"
	s := f.s.Load()
	s.drop(t, "counter", content(t, build(t, source, "", "")))
	s.drop(t, "renamed.wasm", content(t, build(t, source, "GOOS=wasip1 GOARCH=wasm", "renamed")))
	for pipe, counter := range f.pipes() {
		s.plugin(t, counter, "ready")
		for _, kind := range sourceKinds() {
			every := ""
			if kind == "poll" {
				every = ", every: 1s"
			}
			g := pipe + "-" + kind
			s.deploy(t, g, fmt.Sprintf(counterGraph, g, counter, kind, f.journal.URL, every))
		}
	}
	f.load()
	return f
}

func (*counters) pipes() map[string]string {
	return map[string]string{"native": nativeCounter, "wasm": wasmCounter}
}

func (f *counters) start() {
	f.t.Helper()
	f.s.Store(startBinary(f.t, f.bin, f.data, "--log-level", "error", "--egress-allow", hostport(f.journal.URL)))
}

// note is the journal: POST /connector/kind/n says that all up to n were
// acknowledged; the answer 410 tells the counter to die.
func (f *counters) note(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(r.URL.Path, "/")
	n, err := strconv.Atoi(part[len(part)-1])
	if len(part) != 4 || err != nil {
		http.Error(w, "what is this?", http.StatusNotFound)
		return
	}
	graph := "native-" + part[2]
	if part[1] == wasmCounter {
		graph = "wasm-" + part[2]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.upTo[graph] = max(f.upTo[graph], n)
	if part[2] == "poll" {
		select {
		case f.polled <- struct{}{}:
		default:
		}
	}
	if f.doomed[graph] {
		f.doomed[graph] = false
		w.WriteHeader(http.StatusGone)
	}
}

// load posts numbers to both hooks until stop is called; one whose answer is
// lost, or isn't 202, is sent again, as a real sender does.
func (f *counters) load() {
	ctx, cancel := context.WithCancel(f.t.Context())
	var wg sync.WaitGroup
	hc := &http.Client{Transport: transport(f.t), Timeout: patience}
	for pipe := range f.pipes() {
		var next atomic.Int64
		graph := pipe + "-hook"
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					n := int(next.Add(1))
					for ctx.Err() == nil && !f.post(ctx, hc, graph, n) {
						select {
						case <-time.After(5 * time.Millisecond):
						case <-ctx.Done():
						}
					}
				}
			})
		}
	}
	f.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	f.t.Cleanup(f.stop)
}

// post says whether a number was acknowledged.
func (f *counters) post(ctx context.Context, hc *http.Client, graph string, n int) bool {
	f.mu.Lock()
	die := f.doomed[graph]
	f.doomed[graph] = false
	f.mu.Unlock()
	body := fmt.Appendf(nil, `{"n":%d,"die":%t}`, n, die)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.s.Load().URL+"/hooks/"+graph, bytes.NewReader(body))
	if err != nil {
		return false
	}
	res, err := hc.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusAccepted {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.posted[graph] = append(f.posted[graph], n)
	return true
}

// heard tells how much was acknowledged by graph.
func (f *counters) heard() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]int{}
	for g, n := range f.upTo {
		out[g] = n
	}
	for g, ns := range f.posted {
		out[g] = len(ns)
	}
	return out
}

// kill kills plugins, the program or both, each time once all streams and hooks
// have gone on; every other time in the midst of a poll.
func (f *counters) kill(kills int, enough func() bool) {
	f.t.Helper()
	for n := range kills {
		before := f.heard()
		eventually(f.t, "all streams and hooks to go on", func() (bool, any) {
			now := f.heard()
			for pipe := range f.pipes() {
				for _, kind := range []string{"-stream", "-hook"} {
					if now[pipe+kind] <= before[pipe+kind] {
						return false, now
					}
				}
			}
			return true, now
		})
		wait := 200 * time.Millisecond
		if n%2 == 0 {
			select {
			case <-f.polled: // it may be of long ago
			default:
			}
			select {
			case <-f.polled:
			case <-time.After(patience):
				f.t.Fatal("no poll began")
			}
			wait = 30 * time.Millisecond
		}
		<-time.After(time.Duration(f.rnd.Int64N(int64(wait))))
		// In turn: plugins, the program, both at once. A source that fails is
		// asked again later and later until the program starts anew.
		plugins, program := n%3 != 1, n%3 != 0
		s := f.s.Load()
		if plugins {
			f.mu.Lock()
			for _, kind := range sourceKinds() {
				f.doomed["wasm-"+kind] = true
			}
			f.mu.Unlock()
			for _, pid := range children(f.t, s.Pid()) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			}
		}
		if program {
			if err := s.Kill(); err != nil {
				f.t.Fatal(err)
			}
			f.start()
		}
		if enough() {
			return
		}
	}
}

// rest stops the load and the sources: what is being written now is no loss.
func (f *counters) rest() {
	f.t.Helper()
	f.stop()
	for pipe := range f.pipes() {
		for _, kind := range sourceKinds() {
			if _, err := f.s.Load().Deactivate(f.t.Context(), pipe+"-"+kind); err != nil {
				f.t.Fatal(err)
			}
		}
	}
}

// counts judges each graph. The numbers of a stream and of a poll are all those
// up to the newest that was acknowledged or is a run.
func (f *counters) counts() map[string]count {
	f.t.Helper()
	f.mu.Lock()
	acknowledged := map[string][]int{}
	for pipe := range f.pipes() {
		acknowledged[pipe+"-hook"] = slices.Clone(f.posted[pipe+"-hook"])
		for _, kind := range []string{"-stream", "-poll"} {
			acknowledged[pipe+kind] = upTo(f.upTo[pipe+kind])
		}
	}
	f.mu.Unlock()
	out := map[string]count{}
	for graph, acked := range acknowledged {
		numbers := f.s.Load().numbers(f.t, graph)
		if !strings.HasSuffix(graph, "-hook") && len(numbers) > 0 {
			if newest := slices.Max(numbers); newest > len(acked) {
				acked = upTo(newest)
			}
		}
		out[graph] = judge(numbers, acked)
	}
	return out
}

// upTo gives the numbers from 1 to n.
func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i + 1
	}
	return out
}

// numbers reads the numbers of all runs of a graph off their keys.
func (s *server) numbers(t *testing.T, graph string) (out []int) {
	t.Helper()
	for q := (client.RunQuery{Graph: graph, Limit: 200}); ; {
		page, err := s.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Items {
			_, key, _ := strings.Cut(r.Key, "/")
			key, _, _ = strings.Cut(key, "/")
			n, err := strconv.Atoi(key)
			if err != nil {
				t.Fatalf("run %s has the key %q", r.ID, r.Key)
			}
			out = append(out, n)
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			return out
		}
	}
}
