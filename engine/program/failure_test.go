package program_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
)

// G15: on_failure sees the error and every step of the run, each as what it
// gives or null; the run's own steps see neither.
func TestG15Scope(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, "feed", `
  - {id: get, use: http.get, with: {url: a}}
  - {id: beside, after: [], set: 1}
on_failure:
  - {id: a, set: "${{ steps.get }}"}
  - {id: b, after: [], set: "${{ [steps.get?.status, steps.beside] }}"}
  - {id: c, set: "${{ error }}"}
  - {id: d, use: http.get, with: {url: a}, success_when: error.kind == "denied" || output.status == 200}
  - {id: e, after: [a, d], set: "${{ [steps.a, step(\"get\").status, steps.d.status] }}"}
`)
	var got []string
	for _, s := range p.Failure.Steps {
		got = append(got, fmt.Sprintf("%s %d %v %v %s %s", s.ID, s.Slot, s.Preds, s.Succs, s.Pointer, s.Output))
	}
	want := []string{
		"a 2 [] [4] /on_failure/0 object{body: any, headers?: object, status: integer} or null",
		"b 3 [] [2] /on_failure/1 list(integer or null)",
		"c 4 [1] [3] /on_failure/2 object{data: any, kind: string, message: string, retryable: boolean, step: string}",
		"d 5 [2] [4] /on_failure/3 object{body: any, headers?: object, status: integer}",
		"e 6 [0 3] [] /on_failure/4 list(string or integer or object{body: any, headers?: object, status: integer} or null)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 1}, p.Failure.First); diff != "" {
		t.Error(diff)
	}
	if p.Slots != 7 || p.ByID["d"] != p.Failure.Steps[3] || p.Top.Steps[1].Slot != 1 {
		t.Errorf("%d slots, d is %v", p.Slots, p.ByID["d"])
	}
}

// The editor's scope of a step of on_failure has the error; that of another
// step hasn't.
func TestG15ScopeOf(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, `
name: test
trigger: {use: feed}
steps:
  - {id: get, use: http.get, with: {url: a}}
on_failure:
  - {id: notice, use: http.post, with: {url: a}}
`)
	for id, sees := range map[string]bool{"get": false, "notice": true, "": false} {
		sc, ok := program.ScopeOf(doc, fake{}, nil, id)
		if !ok {
			t.Fatalf("%q: no scope", id)
		}
		if got := compiles("error.kind", sc); got != sees {
			t.Errorf("%q sees the error: %t, want %t", id, got, sees)
		}
		if id == "" {
			continue
		}
		sc, ok = program.ResultScopeOf(doc, fake{}, nil, id)
		if !ok || !compiles("output.status", sc) || compiles("error.kind", sc) != sees {
			t.Errorf("%q: what it says of its results doesn't see the output, or of the error not %t", id, sees)
		}
	}
}

func compiles(src string, sc *expr.Scope) bool {
	_, problems := expr.Compile(src, sc)
	return len(problems) == 0
}
