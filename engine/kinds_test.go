package engine_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// What retry.on may name is what a step may fail with.
func TestErrorKindsAreKnownToPrograms(t *testing.T) {
	t.Parallel()
	want := []string{
		machine.KindExpression, machine.KindTimeout, machine.KindUnknown, machine.KindCancelled, machine.KindLimit,
		machine.KindChangedProgram, engine.KindUnknownSecret,
	}
	for _, k := range sdk.Kinds() {
		want = append(want, string(k))
	}
	slices.Sort(want)
	if d := cmp.Diff(slices.Compact(want), program.ErrorKinds()); d != "" {
		t.Error(d)
	}
}
