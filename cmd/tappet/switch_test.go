//go:build unix

package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// TestSwitchingUnderLoad turns a graph OFF and ON and publishes it anew while
// events come in all the time: no sender is told that there is no such address,
// and each event that was taken is a run.
func TestSwitchingUnderLoad(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	ctx, _ := contextWithin(t)
	s := start(t, t.TempDir(), "--log-level", "warn")
	doc := func(n int) []byte {
		return fmt.Appendf(nil, "name: load\ntrigger: {use: webhook, with: {path: load}}\ndedupe: {key: trigger.body.id}\nsteps:\n  - {id: a, set: %d}\n", n)
	}
	s.deploy(t, "load", string(doc(0)))
	hc := &http.Client{Transport: transport(t)}
	var sent, again atomic.Int64
	post := func(id int64) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/hooks/load", strings.NewReader(fmt.Sprintf(`{"id":%d}`, id)))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := hc.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
			return 0, fmt.Errorf("event %d: 503 without Retry-After", id)
		}
		return resp.StatusCode, err
	}
	loading, stop := context.WithCancel(ctx)
	errs := make(chan error, 16)
	var senders sync.WaitGroup
	for range cap(errs) {
		senders.Go(func() {
			for loading.Err() == nil {
				id := sent.Add(1)
				for {
					status, err := post(id)
					if err == nil && status == http.StatusServiceUnavailable {
						again.Add(1)
						continue // OFF for now: it comes again
					}
					if err == nil && status != http.StatusAccepted {
						err = fmt.Errorf("event %d: status %d", id, status)
					}
					if err != nil {
						errs <- err
						return
					}
					break
				}
			}
		})
	}
	for n := 1; n <= 10; n++ {
		seen := sent.Load()
		eventually(t, "more events", func() (bool, any) { return sent.Load() > seen+50 || len(errs) > 0, sent.Load() })
		if _, err := s.Deactivate(ctx, "load"); err != nil {
			t.Fatal(err)
		}
		off := again.Load()
		eventually(t, "an event while it is OFF", func() (bool, any) { return again.Load() > off || len(errs) > 0, again.Load() })
		if _, err := s.PutDraft(ctx, "load", doc(n), client.YAML); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(ctx, "load"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Activate(ctx, "load"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutDraft(ctx, "load", doc(1000+n), client.YAML); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(ctx, "load"); err != nil { // while it is ON
			t.Fatal(err)
		}
	}
	stop()
	senders.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	s.idle(t)
	runs, versions := 0, map[int]bool{}
	for q := (client.RunQuery{Limit: 200}); ; {
		p, err := s.Runs(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Items {
			versions[r.Version] = true
		}
		runs += len(p.Items)
		if q.Cursor = p.NextCursor; q.Cursor == "" {
			break
		}
	}
	if int64(runs) != sent.Load() {
		t.Errorf("%d runs of %d events", runs, sent.Load())
	}
	if len(versions) < 5 || again.Load() == 0 {
		t.Errorf("runs of %d versions, %d events came again; the test has switched nothing", len(versions), again.Load())
	}
}
