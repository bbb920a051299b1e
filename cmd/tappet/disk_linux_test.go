package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fillDisk lets the running process write to no file, as a full disk would, until
// free is called. It lowers a soft limit, which can be raised again; SIGXFSZ,
// which comes with it, means nothing to a Go program.
func (s *server) fillDisk(t *testing.T) (free func()) {
	t.Helper()
	var old unix.Rlimit
	set := func(limit, old *unix.Rlimit) {
		if err := unix.Prlimit(s.Pid(), unix.RLIMIT_FSIZE, limit, old); err != nil {
			t.Fatalf("limit the size of files: %v", err)
		}
	}
	set(nil, &old)
	set(&unix.Rlimit{Cur: 0, Max: old.Max}, nil)
	return func() { set(&old, nil) }
}

// triedInVain waits until the store could not be written so many times more.
func (s *server) triedInVain(t *testing.T, times int) {
	t.Helper()
	count := func() int {
		return strings.Count(s.Output(), "the store can't be written; running runs are kept and tried again")
	}
	before := count()
	eventually(t, "the store to be tried in vain", func() (bool, any) { return count() >= before+times, count() })
}

// TestFullDisk holds D7: no event is accepted that can't be written, a run under
// way is kept, and all goes on by itself when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "slow", sink.relay("slow"))
	s.deploy(t, "quick", sink.relay("quick"))
	acked := []string{s.hook(t, "slow", `{"n":0}`)}
	eventually(t, "the call under way", func() (bool, any) { return sink.count("/slow") == 1, nil })

	free := s.fillDisk(t)
	for n := range 20 {
		res, body := s.send(t, http.MethodPost, "/hooks/quick", "", fmt.Appendf(nil, `{"n":%d}`, n), "application/json")
		if res.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("event %d on a full disk: %s: %s", n, res.Status, body)
		}
		if p := problem(t, res, body); res.Header.Get("Retry-After") != "5" || p.Type != "/problems/unavailable" || strings.Contains(p.Detail, "store") {
			t.Errorf("Retry-After %q, %+v", res.Header.Get("Retry-After"), p)
		}
	}
	// Its outcome can't be written now, though it is tried; it is kept, and the
	// call not repeated.
	done := sink.Count()
	sink.free()
	eventually(t, "the end of the call", func() (bool, any) { return sink.Count() > done, nil })
	s.triedInVain(t, 2)
	res, body := s.send(t, http.MethodGet, "/readyz", token, nil, "")
	if p := problem(t, res, body); p.Status != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "the store can't be written") {
		t.Errorf("GET /readyz on a full disk: %+v", p)
	}
	if res, body = s.send(t, http.MethodGet, "/readyz", "", nil, ""); strings.Contains(problem(t, res, body).Detail, "store") {
		t.Errorf("a stranger is told: %s", body)
	}
	if res, _ = s.send(t, http.MethodGet, "/healthz", "", nil, ""); res.StatusCode != http.StatusOK {
		t.Errorf("GET /healthz on a full disk: %s", res.Status)
	}
	if r, err := s.Run(t.Context(), acked[0]); err != nil || r.State != "running" {
		t.Errorf("the run under way has %q (%v)", r.State, err)
	}
	if _, err := s.Deactivate(t.Context(), "quick"); err == nil {
		t.Error("a graph can be turned OFF on a full disk, though that can't be written")
	}

	free()
	s.wantReady(t)
	for n := range 20 {
		acked = append(acked, s.hook(t, "quick", fmt.Sprintf(`{"n":%d}`, 100+n)))
	}
	for _, id := range acked {
		if r := s.ended(t, id); r.State != "succeeded" || len(r.Steps[0].Attempts) != 1 {
			t.Errorf("run %s has %s: %+v", id, r.State, r.Steps)
		}
	}
	if slow, quick := sink.count("/slow"), sink.count("/quick"); slow != 1 || quick != 20 {
		t.Errorf("%d and %d requests came, 1 and 20 are wanted: what was refused must not be sent, and nothing twice", slow, quick)
	}
}

// TestStopOnFullDisk: what can't be written at the end is done again by the next
// process, never lost.
func TestStopOnFullDisk(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL), "--drain", "500ms")
	s.deploy(t, "slow", sink.relay("slow"))
	id := s.hook(t, "slow", `{"n":0}`)
	eventually(t, "the call under way", func() (bool, any) { return sink.count("/slow") == 1, nil })
	s.fillDisk(t)
	sink.free()
	eventually(t, "the failing store to be noticed", func() (bool, any) {
		err := s.Ready(t.Context())
		return err != nil, err
	})
	s.signal(t, unix.SIGTERM)
	s.wantExit(t, 0)
	s = start(t, s.data, "--egress-allow", hostport(sink.URL))
	if r := s.ended(t, id); r.State != "succeeded" {
		t.Errorf("the run has %s: %+v", r.State, r.Error)
	}
}
