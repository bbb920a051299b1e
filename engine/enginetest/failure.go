package enginetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

// withFailure is a graph whose step a fails beside step b.
const withFailure = `
- {id: a, use: test.act}
- {id: b, after: [], use: test.act}
on_failure:
- {id: notice, use: test.act, with: {why: "${{ error.kind }}"}, retry: {initial_interval: 1ms}}
- {id: log, use: test.act, with: {b: "${{ steps.b }}"}}
`

// failing fails the steps that are named, and does the others by do.
func failing(do func(context.Context, engine.Job) engine.Outcome, keys ...machine.Key) func(context.Context, engine.Job) engine.Outcome {
	return func(ctx context.Context, j engine.Job) engine.Outcome {
		for _, k := range keys {
			if j.Effect.Key == k {
				return failWith("unavailable", true)
			}
		}
		return do(ctx, j)
	}
}

func onFailure(t *testing.T, b *bench) {
	b.version(1, withFailure)
	b.does(failing(ok, "a", "!failure/notice", "!failure/log"))
	b.start()
	b.mustAccept(1)
	if e := b.wantEnd(machine.Failed, "unavailable"); e.end.Err.Step != "a" {
		t.Errorf("the run failed of %q; want a", e.end.Err.Step)
	}
	sent := b.sent()
	if len(sent) != 5 {
		t.Fatalf("performed %v", sent)
	}
	if diff := cmp.Diff([]machine.Key{"!failure/notice", "!failure/notice#2", "!failure/log"}, sent[2:]); diff != "" {
		t.Errorf("on_failure (-want +got):\n%s", diff)
	}
	notice, log := b.job(2).Effect, b.job(4).Effect
	if string(notice.Input[0].Value) != `"unavailable"` || string(log.Input[0].Value) != `{"ok":true}` {
		t.Errorf("notice got %s, log %s", notice.Input[0].Value, log.Input[0].Value)
	}
	if again := b.job(3).Effect; again.Idempotency != notice.Idempotency || notice.Idempotency == log.Idempotency {
		t.Errorf("idempotency keys %q, %q, %q", notice.Idempotency, again.Idempotency, log.Idempotency)
	}
	b.again()
	run, recs, err := b.Journal(t.Context(), RunID(1))
	if err != nil || run.State != machine.Failed || run.Err == nil || run.Err.Step != "a" || len(recs) != 6 {
		t.Errorf("run = %+v with %d records, %v; want failed of a, with 5 outcomes and a wait", run, len(recs), err)
	}
}

func onFailureSurvives(t *testing.T, b *bench) {
	b.version(1, withFailure)
	begun := make(chan machine.Key, 2)
	stuck := hold(begun)
	b.does(failing(func(ctx context.Context, j engine.Job) engine.Outcome {
		if j.Effect.Step == "notice" {
			return stuck(ctx, j)
		}
		return ok(ctx, j)
	}, "a"))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the notice")
	b.Crash()
	b.does(ok)
	b.start()
	b.wantEnd(machine.Failed, "unavailable")
	sent := b.sent()
	if diff := cmp.Diff([]machine.Key{"!failure/notice", "!failure/notice", "!failure/log"}, sent[2:]); diff != "" {
		t.Errorf("performed %v (-want +got):\n%s", sent, diff)
	}
	if first, second := b.job(2).Effect, b.job(3).Effect; first.Idempotency != second.Idempotency {
		t.Errorf("idempotency keys %q and %q; want the same", first.Idempotency, second.Idempotency)
	}
}

func onFailureCancelled(t *testing.T, b *bench) {
	b.version(1, withFailure)
	begun := make(chan machine.Key, 1)
	stuck := hold(begun)
	b.does(failing(func(ctx context.Context, j engine.Job) engine.Outcome {
		if j.Effect.Step == "notice" {
			return stuck(ctx, j)
		}
		return ok(ctx, j)
	}, "a"))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the notice")
	b.cancel()
	b.wantEnd(machine.Failed, "unavailable")
	if sent := b.sent(); len(sent) != 3 {
		t.Errorf("performed %v; want nothing after the cancel", sent)
	}
}

func onFailureSkipped(t *testing.T, b *bench) {
	b.version(1, withFailure)
	begun := make(chan machine.Key, 2)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	await(t, begun, "a call")
	await(t, begun, "a call")
	b.cancel()
	b.wantEnd(machine.Cancelled, "")
	if sent := b.sent(); len(sent) != 2 {
		t.Errorf("performed %v; want nothing after the cancel", sent)
	}
}
