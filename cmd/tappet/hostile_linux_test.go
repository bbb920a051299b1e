package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

// hostileGraphs call what each plugin of the corpus offers. What ends by itself has
// the time that a busy machine needs.
func hostileGraphs() map[string]string {
	const calling = "name: %s\ntrigger: {use: manual}\nsteps:\n  - {id: a, use: hostile.act, timeout: %s, on_unknown: fail}\n"
	return map[string]string{
		"broken":    fmt.Sprintf(calling, "broken", "1m"),
		"timeout":   fmt.Sprintf(calling, "timeout", "200ms"),
		"polling":   "name: polling\ntrigger: {use: hostile.tick, every: 1s}\nsteps:\n  - {id: a, set: 1}\n",
		"streaming": "name: streaming\ntrigger: {use: hostile.flow}\nsteps:\n  - {id: a, set: 1}\n",
	}
}

// TestHostile installs the corpus of plugins/internal/guest/hostile on a running
// server, whose compiler is a process of its own, and calls those of its plugins
// that come that far: each ends in a clear error, what else runs doesn't notice,
// and the memory comes back. TAPPET_HOSTILE=all calls all of them, not the first
// of each class and some floods.
func TestHostile(t *testing.T) { //nolint:paralleltest // it weighs the server's memory
	everything := os.Getenv("TAPPET_HOSTILE") == "all"
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), build(t, "plugins/internal/guest/hostile/write", "", ""), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var corpus []struct{ Class, Name, Kind, Text string }
	if err := json.Unmarshal(content(t, filepath.Join(dir, "corpus.json")), &corpus); err != nil {
		t.Fatal(err)
	}
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "good", fmt.Sprintf(goodGraph, sink.URL))
	stop := s.keepRunning(t)
	before := resident(t, s)
	classes := map[string]bool{}
	for i, h := range corpus {
		file := filepath.Join(dir, fmt.Sprint(i))
		plugin, err := os.ReadFile(file + ".plugin.wasm")
		if errors.Is(err, os.ErrNotExist) {
			if h.Name == "before it is ready" && !everything {
				continue // it takes until the limit of the start
			}
			s.wantRefused(t, h.Class+"/"+h.Name, content(t, file+".wasm"), h.Text)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if classes[h.Class] && !slices.Contains([]string{"requests", "writing state", "events"}, h.Name) && !everything {
			continue
		}
		classes[h.Class] = true
		s.attack(t, h.Class+"/"+h.Name, plugin, h.Kind, h.Text)
	}
	runs := stop()
	if len(classes) < 8 || runs < 5 {
		t.Errorf("%d classes were called beside %d runs of the good graph", len(classes), runs)
	}
	for graph := range hostileGraphs() {
		if err := s.DeleteGraph(t.Context(), graph, true); err != nil {
			t.Error(err)
		}
	}
	if err := s.RemovePlugin(t.Context(), "hostile", true); err != nil {
		t.Error(err)
	}
	s.wantReady(t)
	var after int64
	const most = 96 << 20
	eventually(t, "the memory to come back", func() (bool, any) {
		after = resident(t, s)
		return after < before+most, after
	})
	t.Logf("%d modules beside %d runs of the good graph; %d MiB resident before, %d MiB after", len(corpus), runs, before>>20, after>>20)
	if n := len(children(t, s.Pid())); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// resident is what the server and its processes have resident.
func resident(t *testing.T, s *server) (sum int64) {
	t.Helper()
	for _, pid := range append(children(t, s.Pid()), s.Pid()) {
		if n, err := bench.RSS(pid); err == nil { // a child may have ended
			sum += n
		}
	}
	return sum
}

// wantRefused installs a module, which must be refused with a text.
func (s *server) wantRefused(t *testing.T, what string, module []byte, text string) {
	t.Helper()
	_, err := s.InstallPlugin(t.Context(), module, client.InstallOptions{Grant: true, Force: true})
	var p *client.Problem
	if !errors.As(err, &p) || p.Status/100 != 4 || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %.300v; a refusal with %q is wanted", what, err, text)
	}
}

// attack installs a plugin and has it called: by a run, which must end with an
// error, and of the floods as a source that is switched ON and OFF.
func (s *server) attack(t *testing.T, what string, plugin []byte, kind, text string) {
	t.Helper()
	if _, err := s.InstallPlugin(t.Context(), plugin, client.InstallOptions{Grant: true, Force: true}); err != nil {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if kind == "timeout" {
		text = "the attempt took longer than its timeout of 200ms"
	}
	s.deploy(t, kind, hostileGraphs()[kind])
	r, _, err := s.StartRun(t.Context(), kind, client.Start{Wait: patience})
	if err != nil {
		t.Fatal(err)
	}
	if r = s.ended(t, r.ID); r.Error == nil || r.Error.Kind != kind || !strings.Contains(r.Error.Message, text) {
		t.Errorf("%s: the run has %s: %+v; kind %s with %q is wanted", what, r.State, r.Error, kind, text)
	}
	source := map[string]string{"host-call floods/writing state": "polling", "host-call floods/events": "streaming"}[what]
	if source == "" {
		return
	}
	used := func() string {
		p, err := s.Plugin(t.Context(), "hostile")
		if err != nil {
			t.Fatal(err)
		}
		return p.Usage.CPU
	}
	before := used()
	s.deploy(t, source, hostileGraphs()[source])
	eventually(t, "the flood of "+source, func() (bool, any) { now := used(); return now != before, now })
	if _, err := s.Deactivate(t.Context(), source); err != nil {
		t.Fatal(err)
	}
}
