package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/sdk"
)

// G15: the run's view shows the steps of on_failure as such, with their
// attempts, and the run as it failed.
func TestG15TheViewShowsOnFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.does(func(_ context.Context, c sdk.ActionCall) (sdk.Result, error) {
		if string(c.Input.Get("n")) == "1" {
			return sdk.Result{}, sdk.Errorf(sdk.Denied, "no")
		}
		return sdk.Result{Output: json.RawMessage(`{"told":true}`)}, nil
	})
	b.on(`
name: g15
trigger: {use: test.hook, with: {path: g15}}
steps:
  - {id: a, use: test.act, with: {n: 1}}
on_failure:
  - {id: notice, use: test.act, with: {why: "${{ error.kind }} at ${{ error.step }}"}}
  - {id: done, set: "${{ steps.notice }}"}
`)
	v := b.ended(b.mustPost("g15", "", `{}`).Run)
	if v.State != machine.Failed || v.Err == nil || v.Err.Step != "a" {
		t.Errorf("the run is %s: %v", v.State, v.Err)
	}
	var got []string
	for _, s := range v.Steps {
		line := fmt.Sprintf("%s on failure %t %s", s.ID, s.OnFailure, s.Status)
		for _, a := range s.Attempts {
			line += fmt.Sprintf(" %d %s", a.Number, a.State)
		}
		for _, m := range s.Mapping {
			line += " from " + strings.Join(m.Reads, ",")
		}
		got = append(got, line)
	}
	want := []string{
		"a on failure false failed 1 failed",
		"notice on failure true succeeded 1 succeeded from error.kind,error.step",
		"done on failure true succeeded",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// loud makes hosts that tell the engine of warnings, as the program's do.
type loud struct{}

func (loud) Host(_ context.Context, c engine.HostCall) (sdk.Host, func()) {
	return loudHost{call: c}, func() {}
}

type loudHost struct {
	sdk.Host
	call engine.HostCall
}

func (h loudHost) Log(_ context.Context, l sdk.Level, msg string, args ...any) {
	if l == sdk.Warn {
		h.call.Warn(msg, args...)
	}
}

func (h loudHost) Secret(ctx context.Context, name string) (string, error) {
	return h.call.Secret(ctx, name)
}

// What a connector logs at level warn is on the attempt: bounded, in order, and
// nothing of what comes after the call.
func TestWarningsAreOnTheAttempt(t *testing.T) {
	t.Parallel()
	var late sync.WaitGroup
	var host sdk.Host
	warner := sdk.Connector{Name: "warner", Title: "Warns", Actions: []sdk.Action{
		{Name: "few", Do: func(ctx context.Context, h sdk.Host, _ sdk.ActionCall) (sdk.Result, error) {
			h.Log(ctx, sdk.Info, "told to nobody")
			h.Log(ctx, sdk.Warn, "only the first is sent", "left_out", 2, "odd")
			h.Log(ctx, sdk.Warn, strings.Repeat("é", 400))
			return sdk.Result{}, sdk.Errorf(sdk.Failed, "and it failed")
		}},
		{Name: "many", Do: func(ctx context.Context, h sdk.Host, _ sdk.ActionCall) (sdk.Result, error) {
			for i := range 20 {
				late.Go(func() { h.Log(ctx, sdk.Warn, "again", "n", i) })
			}
			late.Wait()
			host = h
			return sdk.Result{}, nil
		}},
	}}
	b := newBenchOf(t, t.TempDir(), loud{}, nil)
	b.shelf.put(warner, "d1")
	b.on(`
name: warns
trigger: {use: test.hook, with: {path: warns}}
steps:
  - {id: few, use: warner.few, on_error: continue}
  - {id: many, use: warner.many}
  - {id: act, use: test.act}
`)
	v := b.ended(b.mustPost("warns", "", `{}`).Run)
	host.Log(t.Context(), sdk.Warn, "too late") // it changes nothing, and doesn't race
	few := v.Steps[0].Attempts[0].Warnings
	if len(few) != 2 || few[0] != "only the first is sent left_out=2" || len(few[1]) > 500 || len(few[1]) < 490 || !strings.HasSuffix(few[1], "é…") {
		t.Errorf("few warns %q", few)
	}
	if many := v.Steps[1].Attempts[0].Warnings; len(many) != 8 || !strings.HasPrefix(many[7], "again n=") {
		t.Errorf("many warns %q", many)
	}
	if none := v.Steps[2].Attempts[0].Warnings; none != nil {
		t.Errorf("act warns %q", none)
	}
}

// A second answer that a run reaches is a warning on its step (G25).
func TestG25ASecondAnswerIsAWarning(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(`
name: g25
trigger: {use: test.hook, with: {path: g25}}
steps:
  - {id: first, respond: {body: 1}}
  - {id: never, if: false, respond: {body: 2}}
  - {id: second, respond: {body: 3}}
`)
	v := b.ended(b.mustPost("g25", "", `{}`).Run)
	var got [][]string
	for _, s := range v.Steps {
		got = append(got, s.Warnings)
	}
	want := [][]string{nil, nil, {`nothing was sent: the step "first" has answered before, and the first answer counts`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
