package enginetest

import (
	"context"
	"testing"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

// policyWins: what a step says in on_unknown outranks what its action would do.
func policyWins(t *testing.T, b *bench) {
	// Alone, act is sent again after a crash and once isn't.
	b.version(1, "- {id: a, use: test.once, on_unknown: retry}\n- {id: b, use: test.act, on_unknown: fail}\n")
	begun := make(chan machine.Key, 1)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the first call")
	b.Crash()
	again := make(chan machine.Key, 1)
	b.does(func(ctx context.Context, j engine.Job) engine.Outcome {
		if j.Effect.Step == "b" {
			return hold(again)(ctx, j)
		}
		return ok(ctx, j)
	})
	b.start()
	await(t, again, "the second call")
	b.again()
	b.wantEnd(machine.Failed, machine.KindUnknown)
	b.wantSent("a", "a", "b")
}
