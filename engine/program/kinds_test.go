package program_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

func TestAKindThatNoErrorHasIsAWarning(t *testing.T) {
	t.Parallel()
	doc, problems := graph.Parse([]byte("name: g\ntrigger: {use: forms}\nsteps:\n  - {id: a, set: 1, retry: {on: [timeout, timeoout, of_a_plugin]}}\n"), graph.YAML, graph.Limits{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p, warnings := program.Build(doc, uploads{})
	if p == nil {
		t.Fatalf("it isn't built: %+v", warnings)
	}
	want := []graph.Problem{
		{Pointer: "/steps/0/retry/on/1", Line: 4, Column: 5, Code: "kind", Warning: true, Message: `no error that is known here has the kind "timeoout"`, Suggestion: `did you mean "timeout"?`},
		{Pointer: "/steps/0/retry/on/2", Line: 4, Column: 5, Code: "kind", Warning: true, Message: `no error that is known here has the kind "of_a_plugin"`},
	}
	if d := cmp.Diff(want, []graph.Problem(warnings)); d != "" {
		t.Error(d)
	}
}
