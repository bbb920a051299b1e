package main_test

import (
	"testing"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

// A rate of the command line holds, and shows in the run and at the API.
func TestAWaitShowsInTheRun(t *testing.T) {
	t.Parallel()
	sink, err := bench.NewSink("")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	s := start(t, "", "--egress-allow", hostport(sink.URL), "--egress-host", "127.0.0.1=rate:2/s")
	s.deploy(t, "w1", string(bench.Graph(sink.URL)))
	first, second := s.hook(t, "w1", string(bench.Event(1))), s.hook(t, "w1", string(bench.Event(2)))
	waited := 0
	for _, id := range []string{first, second} {
		r := s.ended(t, id)
		if r.State != "succeeded" {
			t.Fatalf("%+v", r.Error)
		}
		if x := r.Steps[0].Attempts[0].Exchanges[0]; x.Waited > 0 {
			waited++
			if x.WaitReason != "rate" || x.Waited > x.Total {
				t.Errorf("%+v", x)
			}
		}
	}
	if waited != 1 {
		t.Errorf("%d of two calls waited", waited)
	}
	hosts, err := s.Hosts(t.Context())
	if err != nil || len(hosts) > 1 || len(hosts) == 1 && (hosts[0].Rate != "2/s" || hosts[0].Host != hostport(sink.URL)) {
		t.Errorf("%+v, %v", hosts, err)
	}
}

// A call that waits now says why: at a rate of one a minute the second call
// stands before its turn for as long as the test looks.
func TestACallThatWaitsSaysWhy(t *testing.T) {
	t.Parallel()
	sink, err := bench.NewSink("")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	s := start(t, "", "--egress-allow", hostport(sink.URL), "--egress-host", "127.0.0.1=rate:1/m")
	s.deploy(t, "w1", string(bench.Graph(sink.URL)))
	ids := []string{s.hook(t, "w1", string(bench.Event(1))), s.hook(t, "w1", string(bench.Event(2)))}
	eventually(t, "a call that waits", func() (bool, any) {
		var saw [][]client.Attempt
		for _, id := range ids {
			r, err := s.Run(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			a := r.Steps[0].Attempts
			if len(a) == 1 && a[0].State == "running" && a[0].Waiting == "rate" {
				return true, nil
			}
			saw = append(saw, a)
		}
		return false, saw
	})
}
