package main_test

import (
	"fmt"
	"syscall"
	"testing"
)

// A notice of on_failure that is under way when the program is killed is sent
// again, as any call is, and the run ends as it failed (G15).
func TestG15OnFailureSurvivesAKill(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "order", fmt.Sprintf(`name: order
trigger: {use: webhook, with: {path: order}}
steps:
  - id: price
    set: ${{ 100 %% trigger.body.n }}
on_failure:
  - id: notice
    use: http.post
    with: {url: "%[1]s/slow", body: {why: "${{ error.kind }}", n: "${{ trigger.body.n }}"}}
  - id: log
    use: http.post
    with: {url: "%[1]s/log", body: {told: "${{ steps.notice.status }}"}}
`, sink.URL))
	id := s.hook(t, "order", `{"n":0}`)
	eventually(t, "the notice", func() (bool, any) { return sink.count("/slow") == 1, nil })
	s.signal(t, syscall.SIGKILL)
	s.wantExit(t, -1)
	sink.free()
	s = start(t, s.data, "--egress-allow", hostport(sink.URL))
	r := s.ended(t, id)
	if r.State != "failed" || r.Error == nil || r.Error.Kind != "expression" || r.Error.Step != "price" {
		t.Errorf("the run is %s: %+v", r.State, r.Error)
	}
	if sink.count("/slow") != 2 || sink.count("/log") != 1 || len(r.Steps) != 3 {
		t.Fatalf("%d notices, %d logs, steps %+v", sink.count("/slow"), sink.count("/log"), r.Steps)
	}
	notice := r.Steps[1]
	if a := notice.Attempts; !notice.OnFailure || notice.Status != "succeeded" || len(a) != 2 || a[0].State != "in_doubt" || a[1].State != "succeeded" {
		t.Errorf("the notice is %+v", notice)
	}
	if r.Steps[0].OnFailure || !r.Steps[2].OnFailure || r.Steps[2].Status != "succeeded" {
		t.Errorf("steps %+v", r.Steps)
	}
}
