package program_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
)

// pagers is a catalogue of actions whose outputs differ.
type pagers struct{ fake }

func (pagers) Action(use string) (program.ActionSpec, error) {
	return program.ActionSpec{Use: use, Output: []byte(map[string]string{
		"out.list":   `{"type": "array", "items": {"type": "object", "properties": {"id": {"type": "integer"}}}}`,
		"out.typed":  `{"type": "object", "additionalProperties": false, "required": ["body"], "properties": {"body": {"type": "array", "items": {"type": "string"}}}}`,
		"out.maybe":  `{"type": "object", "additionalProperties": false, "properties": {"body": {"type": "array", "items": {"type": "string"}}}}`,
		"out.http":   httpOutput,
		"out.none":   ``,
		"out.number": `{"type": "object", "additionalProperties": false, "required": ["n"], "properties": {"n": {"type": "integer"}}}`,
	}[use])}, nil
}

func TestPaginateGivesAListOfItsItems(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ step, want string }{
		{"use: out.list, paginate: {page: {field: p}}", "list(object{id?: integer, …})"},
		{"use: out.typed, paginate: {page: {field: p}}", "list(string)"},
		{"use: out.http, paginate: {page: {field: p}}", "list"},
		{"use: out.http, paginate: {page: {field: p}, items: 'map(output.body.items, {{n: int(.n)}})'}", "list(object{n: integer})"},
		{"use: out.number, paginate: {page: {field: p}, items: '[output.n, 1]'}", "list(integer)"},
		{"use: out.list, if: trigger.n == 1, paginate: {page: {field: p}, items: '${{ output }}'}", "list(object{id?: integer, …}) or null"},
		{"use: out.maybe, paginate: {page: {field: p}}", "required /steps/0/paginate"},
		{"use: out.none, paginate: {page: {field: p}}", "required /steps/0/paginate"},
		{"use: out.number, paginate: {page: {field: p}}", "required /steps/0/paginate"},
		{"use: out.list, paginate: {link: next}", "value /steps/0/paginate/link"},
		{"use: out.http, with: {url: x}, paginate: {link: next}", "list"},
		{"use: out.http, success_when: output.status == 404", "object{body: any, headers?: object, status: integer}"},
	} {
		doc := mustParse(t, "name: test\ntrigger: {use: feed}\nsteps:\n  - {id: a, "+x.step+"}\n")
		p, problems := program.Build(doc, pagers{})
		got := ""
		if len(problems) > 0 {
			got = problems[0].Code + " " + problems[0].Pointer
		} else {
			got = p.ByID["a"].Output.String()
		}
		if got != x.want {
			t.Errorf("%s: %s, want %s\n%s", x.step, got, x.want, write(problems))
		}
	}
}

func TestPaginateDefaults(t *testing.T) {
	t.Parallel()
	get := func(paginate string) program.Paginate {
		return *mustBuild(t, "manual", "  - {id: a, use: http.get, with: {url: 'https://x.test'}, paginate: {"+paginate+"}}\n").ByID["a"].Paginate
	}
	for _, x := range []struct {
		paginate string
		want     program.Paginate
	}{
		{"link: next", program.Paginate{Way: program.PageLink, Path: []string{"url"}, Rel: "next", MaxPages: 100}},
		{"next: '${{ output.body.n }}', max_pages: 7, on_limit: stop", program.Paginate{Way: program.PageURL, Path: []string{"url"}, MaxPages: 7, StopAtLimit: true}},
		{"page: {field: query.p}", program.Paginate{Way: program.PageCount, Path: []string{"query", "p"}, Start: 1, By: 1, MaxPages: 100}},
		{"page: {field: /query/p.n, start: 0, step: 5}", program.Paginate{Way: program.PageCount, Path: []string{"query", "p.n"}, By: 5, MaxPages: 100}},
		{"offset: {field: query.o}", program.Paginate{Way: program.PageItems, Path: []string{"query", "o"}, MaxPages: 100}},
		{"offset: {field: query.o, start: 3, by: 50}", program.Paginate{Way: program.PageCount, Path: []string{"query", "o"}, Start: 3, By: 50, MaxPages: 100}},
		{"cursor: {field: body.a~1, value: '${{ output.body.c }}'}", program.Paginate{Way: program.PageValue, Path: []string{"body", "a~1"}, MaxPages: 100}},
	} {
		got := get(x.paginate)
		if got.Items == nil || (got.Next == nil) != got.Counts() {
			t.Errorf("%s: items %v, next %v", x.paginate, got.Items, got.Next)
		}
		got.Items, got.Next = nil, nil
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s: %s", x.paginate, diff)
		}
	}
}

func TestSuccessSourceIsCutShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("true && ", 60) + "output.status == 200"
	s := mustBuild(t, "manual", "  - {id: a, use: http.get, with: {url: 'https://x.test'}, success_when: '${{ "+long+" }}'}\n").ByID["a"].Success
	if len(s.Source) > 210 || !strings.HasPrefix(s.Source, "${{ true && ") || !strings.HasSuffix(s.Source, "…") {
		t.Errorf("%q", s.Source)
	}
}

// What a step says of its results sees the output; its `with` doesn't.
func TestResultScope(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, `
name: scopes
trigger: {use: feed}
steps:
  - {id: first, set: 1}
  - {id: once, use: http.get, with: {url: "https://x.test"}}
  - {id: pages, use: http.get, with: {url: "https://x.test"}, paginate: {link: next}}
`)
	for _, x := range []struct{ step, src, want string }{
		{"once", "output.status", "integer"},
		{"once", "output.body", "any"},
		{"once", "steps.first", "integer"},
		{"once", "page", "unknown_name"},
		{"pages", "page", "integer"},
		{"pages", "output.status + steps.once.status", "integer"},
		{"pages", "output.stat", "unknown_field"},
	} {
		sc, ok := program.ResultScopeOf(doc, fake{}, nil, x.step)
		if !ok {
			t.Fatalf("there is no step %q", x.step)
		}
		p, problems := expr.Compile(x.src, sc)
		got := ""
		if len(problems) > 0 {
			got = problems[0].Code
		} else {
			got = p.Type().String()
		}
		if got != x.want && !(x.src == "steps.first" && got == "1") {
			t.Errorf("%s in %s: %s, want %s", x.src, x.step, got, x.want)
		}
	}
	for _, id := range []string{"first", "nobody", ""} {
		if _, ok := program.ResultScopeOf(doc, fake{}, nil, id); ok {
			t.Errorf("%q has results", id)
		}
	}
	plain, _ := program.ScopeOf(doc, fake{}, nil, "once")
	if _, problems := expr.Compile("output.status", plain); len(problems) == 0 {
		t.Error("`with` sees the output")
	}
}
