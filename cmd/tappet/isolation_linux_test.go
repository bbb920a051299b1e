package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
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
	f := newField(t)
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
	f.verdict(kills)
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
	// runs are those of acknowledged letters; posts counts what the sink got.
	runs  map[string]string
	posts map[string]int
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

func newField(t *testing.T) *field {
	t.Helper()
	f := &field{t: t, runs: map[string]string{}, posts: map[string]int{}}
	sink := newSink(t, func(_ *http.Request, body []byte) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.posts[string(body)]++
	})
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
    retry: {max_attempts: 500, initial_interval: 10ms, max_interval: 200ms}
`, graph, courier, sink.URL))
	}
	f.s.deploy(t, "undertaker", fmt.Sprintf(`name: undertaker
trigger: {use: manual}
steps:
  - {id: die, use: %s.post, with: {url: %s, id: none, die: true}}
`, wasmCourier, sink.URL))
	f.s.deploy(t, "bystander", "name: bystander\ntrigger: {use: webhook, with: {path: bystander}}\nsteps:\n  - {id: a, set: 1}\n")
	return f
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

// killInstances has instances of the WASM courier end themselves in mid-call.
func (f *field) killInstances(n int) {
	f.t.Helper()
	for range n {
		run, _, err := f.s.StartRun(f.t.Context(), "undertaker", client.Start{})
		if err != nil {
			f.t.Fatal(err)
		}
		if run = f.s.ended(f.t, run.ID); run.Error == nil || run.Error.Kind != "broken" {
			f.t.Fatalf("the undertaker's run ended %s, %+v; broken is wanted", run.State, run.Error)
		}
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
			if len(id) > len(graph) && id[:len(graph)] == graph {
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

// verdict looks at what became of each acknowledged letter.
func (f *field) verdict(kills int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	lost, doubled := 0, 0
	for id, run := range f.runs {
		switch n := f.posts[id]; {
		case n == 0:
			lost++
			f.t.Errorf("letter %s of run %s is lost", id, run)
		case n > 1:
			doubled += n - 1
			f.wantCutShort(id, run, n)
		}
	}
	if f.failed.Load() > 0 || f.bystanders.Load() == 0 {
		f.t.Errorf("%d of %d requests to the bystander failed", f.failed.Load(), f.bystanders.Load())
	}
	f.t.Logf("%d processes and %d instances killed: %d letters acknowledged, %d refused, %d lost, %d carried again; %d requests to the bystander, %d failed",
		kills, kills, len(f.runs), f.refused.Load(), lost, doubled, f.bystanders.Load(), f.failed.Load())
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
