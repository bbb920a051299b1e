package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestIsolation kills plugin processes and instances under load: what was
// acknowledged is carried out, what is carried out twice was in flight at a
// kill, and a graph that has nothing to do with the plugins doesn't notice.
// TAPPET_KILLS sets how many of each there are.
func TestIsolation(t *testing.T) {
	kills := 20
	if v := os.Getenv("TAPPET_KILLS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	f := newField(t, "{max_attempts: 500, initial_interval: 10ms, max_interval: 200ms}")
	stop := f.load()
	f.phase("load alone", func() {
		for range kills {
			f.carries("native")
			f.carries("wasm")
		}
	})
	f.phase("processes killed", func() { f.killProcesses(kills) })
	f.phase("instances killed", func() { f.killInstances(kills) })
	stop()
	f.s.idle(t)
	found := f.judge()
	for graph, v := range found {
		t.Logf("%s: %s", graph, v)
		for _, id := range v.lost {
			t.Errorf("letter %s of run %s is lost", id, f.runs[id])
		}
		for id, posts := range v.again {
			f.wantCutShort(id, f.runs[id], posts)
		}
	}
	// Each other instance died between its letter and its return.
	if n := len(found["wasm"].again); n == 0 {
		t.Errorf("none of the %d instances was killed with a letter in flight", kills)
	}
	if f.failed.Load() > 0 || f.bystanders.Load() == 0 {
		t.Errorf("%d of %d requests to the bystander failed", f.failed.Load(), f.bystanders.Load())
	}
	t.Logf("%d processes and %d instances killed; %d letters refused; %d requests to the bystander, %d failed",
		kills, kills, f.refused.Load(), f.bystanders.Load(), f.failed.Load())
}

// TestIsolationControl is TestIsolation of graphs that try nothing again: if no
// letter is found lost on each pipe here, that test finds none either.
func TestIsolationControl(t *testing.T) {
	f := newField(t, "{max_attempts: 1}")
	stop := f.load()
	f.killProcesses(6)
	f.killInstances(4)
	stop()
	f.s.idle(t)
	for graph, v := range f.judge() {
		t.Logf("%s: %s", graph, v)
		if len(v.lost) == 0 {
			t.Errorf("%s: no letter is found lost", graph)
		}
	}
}

// The couriers: the same source on both pipes.
const (
	nativeCourier = "courier"
	wasmCourier   = "courier_renamed"
)

// A field is a server with the couriers, and what came of their letters.
type field struct {
	t    *testing.T
	s    *server
	http *http.Client

	mu sync.Mutex
	// runs are those of acknowledged letters; posts counts what the other side
	// took.
	runs  map[string]string
	posts map[string]int
	// doomed says that the next instance is told to die, killed how many were.
	doomed bool
	killed int
	// refused counts letters that were told to come again.
	refused atomic.Int64
	// bystanders counts the requests that no plugin has to do with; failed is
	// how many of them were not taken, took how long each of this phase took.
	bystanders, failed atomic.Int64
	took               []time.Duration
}

// phase tells how the bystander fared meanwhile.
func (f *field) phase(name string, do func()) {
	f.t.Helper()
	f.mu.Lock()
	f.took = nil
	f.mu.Unlock()
	began := time.Now()
	do()
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.took)
	if n := len(f.took); n > 0 {
		f.t.Logf("%s: %.0f requests/s to the bystander, p50 %s, p99 %s, longest %s", name,
			float64(n)/time.Since(began).Seconds(), f.took[n/2], f.took[n*99/100], f.took[n-1])
	}
}

// newField makes a field whose graphs carry letters with a retry policy.
func newField(t *testing.T, retry string) *field {
	t.Helper()
	f := &field{t: t, runs: map[string]string{}, posts: map[string]int{}}
	sink := httptest.NewServer(http.HandlerFunc(f.take))
	t.Cleanup(sink.Close)
	f.s = start(t, "", "--egress-allow", hostport(sink.URL))
	f.http = &http.Client{Transport: transport(t), Timeout: patience}
	const source = "plugins/internal/guest/courier"
	f.s.drop(t, "courier", content(t, build(t, source, "", "")))
	f.s.drop(t, "renamed.wasm", content(t, build(t, source, "GOOS=wasip1 GOARCH=wasm", "renamed")))
	for graph, courier := range map[string]string{"native": nativeCourier, "wasm": wasmCourier} {
		f.s.plugin(t, courier, "ready")
		f.s.deploy(t, graph, fmt.Sprintf(`name: %[1]s
trigger: {use: %[2]s.hook}
steps:
  - id: carry
    use: %[2]s.post
    with: {url: %[3]s, id: "${{ trigger.id }}"}
    retry: %[4]s
`, graph, courier, sink.URL, retry))
	}
	f.s.deploy(t, "bystander", "name: bystander\ntrigger: {use: webhook, with: {path: bystander}}\nsteps:\n  - {id: a, set: 1}\n")
	return f
}

// take is the other side. A doomed instance is answered 410, at which it dies:
// with every other one its letter is taken before, with the rest it isn't.
func (f *field) take(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	id := string(b)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.doomed && strings.HasPrefix(id, "wasm") {
		f.doomed = false
		f.killed++
		w.WriteHeader(http.StatusGone)
		if f.killed%2 == 0 {
			return
		}
	}
	f.posts[id]++
}

// load sends letters to both couriers and requests to the bystander, until the
// function it gives is called.
func (f *field) load() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var wg sync.WaitGroup
	var n atomic.Int64
	for range 8 {
		for _, graph := range []string{"native", "wasm"} {
			wg.Go(func() {
				for ctx.Err() == nil {
					f.send(ctx, graph, fmt.Sprintf("%s-%d", graph, n.Add(1)))
				}
			})
		}
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			status, _, err := f.post(ctx, "bystander", []byte(`{}`))
			if ctx.Err() != nil {
				return
			}
			f.mu.Lock()
			f.took = append(f.took, time.Since(began))
			f.mu.Unlock()
			f.bystanders.Add(1)
			if err != nil || status != http.StatusAccepted {
				f.failed.Add(1)
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

func (f *field) post(ctx context.Context, hook string, body []byte) (status int, run string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.s.URL+"/hooks/"+hook, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	res, err := f.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	var got struct {
		Run string `json:"run"`
	}
	if res.StatusCode == http.StatusAccepted {
		err = errors.Join(err, json.Unmarshal(b, &got))
	}
	return res.StatusCode, got.Run, err
}

// send sends one letter; one that is refused, or whose answer is lost, isn't
// counted on.
func (f *field) send(ctx context.Context, graph, id string) {
	status, run, err := f.post(ctx, graph, fmt.Appendf(nil, `{"id":%q}`, id))
	switch {
	case err != nil:
	case status == http.StatusAccepted:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.runs[id] = run
	default:
		f.refused.Add(1)
	}
}

// killProcesses kills the native courier again and again, each time after it
// has carried something.
func (f *field) killProcesses(n int) {
	f.t.Helper()
	for range n {
		f.carries("native")
		eventually(f.t, "a plugin process", func() (bool, any) {
			pids := children(f.t, f.s.Pid())
			for _, pid := range pids {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					f.t.Fatal(err)
				}
			}
			return len(pids) > 0, pids
		})
	}
}

// killInstances has instances of the WASM courier die in the midst of carrying a
// letter, each time after one has carried something.
func (f *field) killInstances(n int) {
	f.t.Helper()
	for range n {
		f.mu.Lock()
		f.doomed = true
		before := f.killed
		f.mu.Unlock()
		eventually(f.t, "the end of an instance", func() (bool, any) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.killed > before, f.killed
		})
		f.carries("wasm")
	}
}

// carries waits until a courier has carried one more letter.
func (f *field) carries(graph string) {
	f.t.Helper()
	count := func() (n int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for id := range f.posts {
			if strings.HasPrefix(id, graph) {
				n++
			}
		}
		return n
	}
	before := count()
	eventually(f.t, "a letter of the courier "+graph, func() (bool, any) {
		n := count()
		return n > before, n
	})
}

// A verdict is what became of the acknowledged letters of one graph.
type verdict struct {
	acknowledged int
	lost         []string
	again        map[string]int // how often those were taken that were taken again
}

func (v verdict) String() string {
	return fmt.Sprintf("%d letters acknowledged, %d lost, %d carried again", v.acknowledged, len(v.lost), len(v.again))
}

func (f *field) judge() map[string]verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]verdict{}
	for id := range f.runs {
		graph, _, _ := strings.Cut(id, "-")
		v := out[graph]
		v.acknowledged++
		switch n := f.posts[id]; {
		case n == 0:
			v.lost = append(v.lost, id)
		case n > 1:
			if v.again == nil {
				v.again = map[string]int{}
			}
			v.again[id] = n
		}
		out[graph] = v
	}
	return out
}

// wantCutShort checks that a letter was carried again only by attempts that
// followed one whose call broke.
func (f *field) wantCutShort(id, runID string, posts int) {
	f.t.Helper()
	run, err := f.s.Run(f.t.Context(), runID)
	if err != nil {
		f.t.Fatal(err)
	}
	attempts := run.Steps[0].Attempts
	if len(attempts) < posts {
		f.t.Errorf("letter %s was carried %d times by %d attempts", id, posts, len(attempts))
	}
	for _, a := range attempts[:len(attempts)-1] {
		if a.Error == nil || a.Error.Kind != "broken" && a.Error.Kind != "unavailable" {
			f.t.Errorf("letter %s: attempt %d was followed by another though it ended %s, %+v", id, a.Number, a.State, a.Error)
		}
	}
}
