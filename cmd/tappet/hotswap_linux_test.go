package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

// TestHotSwapUnderLoad upgrades a plugin of a running server by the API, rolls it
// back, and upgrades it by a file, again and again, while orders come in and its
// stream counts: each order is taken, each run is of one release from its
// trigger to its last step, and no number is lost or comes twice. TAPPET_SWAPS
// sets how many rounds of three swaps there are.
func TestHotSwapUnderLoad(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	rounds := 4
	if v := os.Getenv("TAPPET_SWAPS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	}
	const source = "cmd/tappet/testdata/release"
	for pipe, env := range map[string]string{"wasm": "GOOS=wasip1 GOARCH=wasm", "native": ""} {
		t.Run(pipe, func(t *testing.T) {
			f := newSwaps(t)
			f.file = map[string]string{"wasm": "release.wasm", "native": "release"}[pipe]
			for version, tags := range map[string]string{"1.0.0": "", "2.0.0": "two"} {
				f.releases[version] = content(t, build(t, source, env, tags))
			}
			f.install("1.0.0")
			f.s.deploy(t, "shipped", fmt.Sprintf(shippedGraph, f.sink.URL))
			f.s.deploy(t, "counting", "name: counting\ntrigger: {use: release.count}\nsteps:\n  - {id: a, set: \"${{ trigger.n }}\"}\n")
			stop := f.load()
			f.round("1.0.0", "2.0.0")
			before := f.memory()
			for n := range rounds - 1 {
				if n%2 == 0 {
					f.round("2.0.0", "1.0.0")
				} else {
					f.round("1.0.0", "2.0.0")
				}
			}
			stop()
			after := f.memory()
			f.s.idle(t)
			f.verdict()
			// The releases of now and before may still be open.
			if n := len(children(t, f.s.Pid())); n > 3 {
				t.Errorf("%d processes are left", n)
			}
			t.Logf("%d swaps, %d orders; %d MiB after the first round, %d MiB at the end", 3*rounds, len(f.runs), before>>20, after>>20)
			// It levels off some 100 MiB above the first round's (75 swaps); each release
			// that stayed open would have its instances and its code.
			if after > before+192<<20 {
				t.Errorf("%d MiB after the first round, %d MiB at the end", before>>20, after>>20)
			}
		})
	}
}

// swaps is a server whose plugin is swapped, and the orders that it took.
type swaps struct {
	t        *testing.T
	s        *server
	sink     *slow
	file     string
	releases map[string][]byte

	mu     sync.Mutex
	runs   []string
	failed []string
}

func newSwaps(t *testing.T) *swaps {
	t.Helper()
	f := &swaps{t: t, sink: newSlow(t), releases: map[string][]byte{}}
	f.sink.free() // nothing waits
	f.s = start(t, "", "--egress-allow", hostport(f.sink.URL))
	return f
}

func (f *swaps) install(version string) {
	f.t.Helper()
	if _, err := f.s.InstallPlugin(f.t.Context(), f.releases[version], client.InstallOptions{Grant: true}); err != nil {
		f.t.Fatal(err)
	}
	f.serves(version)
}

// serves waits until a release is the one of now, with orders taken under it.
func (f *swaps) serves(version string) {
	f.t.Helper()
	eventually(f.t, "release "+version, func() (bool, any) {
		p, err := f.s.Plugin(f.t.Context(), "release")
		return err == nil && p.Version == version && p.Health.State == "ready", fmt.Sprintf("%+v, %v", p, err)
	})
}

// round goes from one release to another, back, and there again by a file; what
// is changed in the folder is only run, of a program, once it is accepted.
func (f *swaps) round(from, to string) {
	f.t.Helper()
	f.install(to)
	f.taken()
	if _, err := f.s.RollbackPlugin(f.t.Context(), "release", client.InstallOptions{}); err != nil {
		f.t.Fatal(err)
	}
	f.serves(from)
	f.taken()
	f.s.drop(f.t, f.file, f.releases[to])
	if f.file == "release" {
		f.s.plugin(f.t, "release", "held")
		if _, err := f.s.AcceptPlugin(f.t.Context(), "release", client.InstallOptions{}); err != nil {
			f.t.Fatal(err)
		}
	}
	f.serves(to)
	f.taken()
}

// load sends orders until the function that it gives is called.
func (f *swaps) load() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	hc := &http.Client{Transport: transport(f.t), Timeout: patience}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				run, err := f.order(hc)
				f.mu.Lock()
				if err != nil {
					f.failed = append(f.failed, err.Error())
				} else {
					f.runs = append(f.runs, run)
				}
				f.mu.Unlock()
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func (f *swaps) order(hc *http.Client) (run string, err error) {
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.s.URL+"/hooks/shipped", nil)
	if err != nil {
		return "", err
	}
	res, err := hc.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("%s: %s (%w)", res.Status, b, err)
	}
	var got struct {
		Run string `json:"run"`
	}
	return got.Run, json.Unmarshal(b, &got)
}

// taken waits until some more orders were taken.
func (f *swaps) taken() {
	f.t.Helper()
	count := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.runs)
	}
	before := count()
	eventually(f.t, "orders to be taken", func() (bool, any) { n := count(); return n >= before+16, n })
}

// memory is what the server and its processes have resident.
func (f *swaps) memory() (sum int64) {
	f.t.Helper()
	for _, pid := range append(children(f.t, f.s.Pid()), f.s.Pid()) {
		n, err := bench.RSS(pid)
		if err == nil { // a child may have ended
			sum += n
		}
	}
	return sum
}

func (f *swaps) verdict() {
	f.t.Helper()
	for _, why := range f.failed[:min(len(f.failed), 5)] {
		f.t.Errorf("one of %d orders that weren't taken: %s", len(f.failed), why)
	}
	releases := map[string]int{}
	for _, id := range f.runs {
		r := f.s.ended(f.t, id)
		var by string
		if err := json.Unmarshal(r.Result, &by); err != nil {
			f.t.Fatalf("run %s: %s %s %+v", id, r.State, r.Result, r.Error)
		}
		three := strings.Fields(by)
		if len(three) != 3 || three[0] != three[1] || three[1] != three[2] {
			f.t.Errorf("run %s is of %s", id, by)
		}
		releases[by]++
	}
	if len(releases) != 2 {
		f.t.Errorf("the runs are of %v, two releases are wanted", releases)
	}
	if _, err := f.s.Deactivate(f.t.Context(), "counting"); err != nil {
		f.t.Fatal(err)
	}
	numbers := f.s.numbers(f.t, "counting")
	if c := judge(numbers, upTo(slices.Max(append(numbers, 0)))); c.lost != 0 || c.repeated != 0 || c.runs == 0 {
		f.t.Errorf("the stream: %s", c)
	} else {
		f.t.Logf("the stream: %s", c)
	}
}
