package graph_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/graph"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func formatOf(name string) graph.Format {
	if strings.HasSuffix(name, ".json") {
		return graph.JSON
	}
	return graph.YAML
}

func mustRead(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, src string) *graph.Document {
	t.Helper()
	doc, problems := graph.Parse([]byte(src), graph.YAML, graph.Limits{})
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return doc
}

func wantGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(mustRead(t, name)), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func files(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, p := range patterns {
		names, err := filepath.Glob(p)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no files, %v", p, err)
		}
		all = append(all, names...)
	}
	return all
}

func write(problems []graph.Problem) []byte {
	var b bytes.Buffer
	for _, p := range problems {
		fmt.Fprintf(&b, "%d:%d %s %s: %s", p.Line, p.Column, p.Code, p.Pointer, p.Message)
		if p.Suggestion != "" {
			b.WriteString("; " + p.Suggestion)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func TestValid(t *testing.T) {
	t.Parallel()
	for _, name := range files(t, "testdata/valid/*.yaml", "testdata/valid/*.json", "../../examples/graphs/*.yaml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			doc, problems := graph.Parse(mustRead(t, name), formatOf(name), graph.Limits{})
			if len(problems) > 0 {
				t.Fatalf("problems:\n%s", write(problems))
			}
			yaml := wantLossless(t, doc)
			golden := "testdata/valid/" + filepath.Base(name)
			wantGolden(t, golden+".canonical", append(doc.JSON(), '\n'))
			wantGolden(t, golden+".export", yaml)
		})
	}
}

// wantLossless writes and reads a document in both formats.
func wantLossless(t *testing.T, doc *graph.Document) (yaml []byte) {
	t.Helper()
	yaml, err := doc.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		src []byte
		f   graph.Format
	}{{doc.JSON(), graph.JSON}, {yaml, graph.YAML}} {
		back, problems := graph.Parse(x.src, x.f, graph.Limits{Bytes: 1 << 30})
		if len(problems) > 0 {
			t.Fatalf("problems in %s:\n%s\n%s", x.f, write(problems), x.src)
		}
		if diff := cmp.Diff(string(doc.JSON()), string(back.JSON())); diff != "" {
			t.Fatalf("%s isn't lossless:\n%s", x.f, diff)
		}
		if doc.Digest() != back.Digest() {
			t.Errorf("%s changes the digest", x.f)
		}
	}
	return yaml
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	for _, name := range files(t, "testdata/invalid/*.yaml", "testdata/invalid/*.json") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			_, problems := graph.Parse(mustRead(t, name), formatOf(name), graph.Limits{})
			if len(problems) == 0 {
				t.Fatal("no problems")
			}
			wantGolden(t, name+".problems", write(problems))
		})
	}
}

// What JSON Schema can say, it says as Parse does.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	sayable := []string{"unknown_field", "not_available", "type", "enum", "required", "pattern", "verb", "duration"}
	for _, name := range files(t, "testdata/*/*.yaml", "testdata/*/*.json", "../../examples/graphs/*.yaml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			src := mustRead(t, name)
			doc, problems := graph.Parse(src, formatOf(name), graph.Limits{})
			if doc == nil {
				return
			}
			bySchema := graph.CheckSchema(graph.Schema(), graph.Tree(src, formatOf(name)), "")
			said := slices.ContainsFunc(problems, func(p graph.Problem) bool { return slices.Contains(sayable, p.Code) })
			if said != (len(bySchema) > 0) {
				t.Errorf("Parse:\n%s\nschema:\n%s", write(problems), write(bySchema))
			}
		})
	}
}

func TestG1After(t *testing.T) {
	t.Parallel()
	// The messages of each way to be wrong are testdata/invalid/after.yaml.
	doc := mustParse(t, `
name: g1
trigger: {use: manual}
steps:
  - {id: a, set: 1}
  - {id: b, set: 1}
  - {id: x, after: [], set: 1}
  - {id: both, after: [b, x], set: 1}
`)
	var got []string
	for _, s := range doc.Steps {
		got = append(got, fmt.Sprintf("%s %t %v", s.ID, s.AfterSet, s.After))
	}
	want := []string{"a false []", "b false []", "x true []", "both true [b x]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// on_failure is part of what a graph means, and may stand above the steps.
func TestG15OnFailure(t *testing.T) {
	t.Parallel()
	const head, steps, after = "name: g15\ntrigger: {use: manual}\n", "steps: [{id: a, set: 1}]\n", "on_failure: [{id: b, set: 1}, {id: c, after: [b], set: 1}]\n"
	doc := mustParse(t, head+after+steps)
	var got []string
	for _, s := range doc.OnFailure {
		got = append(got, fmt.Sprintf("%s %s %v", s.ID, s.Pointer, s.After))
	}
	if diff := cmp.Diff([]string{"b /on_failure/0 []", "c /on_failure/1 [b]"}, got); diff != "" {
		t.Error(diff)
	}
	if mustParse(t, head+steps+after).Digest() != doc.Digest() || mustParse(t, head+steps).Digest() == doc.Digest() {
		t.Error("the digest says where on_failure stands, or not that it is there")
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	const head = "name: d\ntrigger: {use: manual}\n"
	base := mustParse(t, head+"steps: [{id: a, set: {x: 1, y: 2}}]").Digest()
	for _, x := range []struct {
		name, src string
		same      bool
	}{
		{"order of the format's keys", "steps: [{set: {x: 1, y: 2}, id: a}]\ntrigger: {use: manual}\nname: d", true},
		{"format written", "format: 1\n" + head + "steps: [{id: a, set: {x: 1, y: 2}}]", true},
		{"layout", head + "steps: [{id: a, set: {x: 1, y: 2}}]\nlayout: {a: 1}", true},
		{"comment", head + "steps: [{id: a, set: {x: 1, y: 2}}] # hello", true},
		{"order in a value", head + "steps: [{id: a, set: {y: 2, x: 1}}]", false},
		{"digits of a number", head + "steps: [{id: a, set: {x: 1.0, y: 2}}]", false},
		{"after", head + "steps: [{id: a, after: [], set: {x: 1, y: 2}}]", false},
	} {
		if got := mustParse(t, x.src).Digest() == base; got != x.same {
			t.Errorf("%s: same digest %t, want %t", x.name, got, x.same)
		}
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	src := strings.Join([]string{
		`name: locate`,
		`trigger: {use: manual}`,
		`steps:`,
		`  - id: a`,
		`    set:`,
		`      plain: é ${{ X }}`,
		`      double: "é\n\t\u00e9 \"${{ X }}"`,
		`      single: 'it''s ${{ X }}'`,
		`      literal: |`,
		`        one`,
		`          two X`,
		`      folded: >`,
		`        one`,
		`        X`,
		`      spread: "one`,
		`        X"`,
		`      "ключ": X`,
		`      blank: >-`,
		``,
		`        one`,
		``,
		`          two`,
		``,
		`        é three X`,
		`      wide: one two  `,
		`        three`,
		``,
		`        é X`,
		`      lines: 'it''s`,
		`        one`,
		``,
		`          é X'`,
		`      joined: "one\`,
		`        \ two\`,
		`        X"`,
		`      item: [a, "b`,
		`        X"]`,
		`      odd: >2`,
		`          X`,
	}, "\n")
	doc := mustParse(t, src)
	want := map[string]graph.Pos{
		"plain": {6, 20}, "double": {7, 34}, "single": {8, 26}, "literal": {11, 15},
		"folded": {14, 9}, "spread": {16, 9}, "ключ": {17, 15}, "blank": {24, 17}, "wide": {28, 11}, "lines": {32, 13}, "joined": {35, 9}, "item": {37, 9},
		"odd": {38, 12}, // can't be told: where the value begins
	}
	for _, m := range doc.Steps[0].Set.Members {
		if m.Value.Kind == graph.List {
			m.Value = m.Value.Items[1]
		}
		before, _, _ := strings.Cut(m.Value.Text, "X")
		line := 1 + strings.Count(before, "\n")
		column := 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
		if got := doc.Locate(m.Value, line, column); got != want[m.Name] {
			t.Errorf("%s: %v, want %v", m.Name, got, want[m.Name])
		}
	}
	json := `{"name": "x", "trigger": {"use": "manual"},` + "\n" + `"steps": [{"id": "a", "set": "\ud83d\ude00é\/X"}]}`
	doc, problems := graph.Parse([]byte(json), graph.JSON, graph.Limits{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got, want := doc.Locate(doc.Steps[0].Set, 1, 4), (graph.Pos{Line: 2, Column: 46}); got != want {
		t.Errorf("JSON: %v, want %v", got, want)
	}
}

func TestSec12Limits(t *testing.T) {
	t.Parallel()
	deep := func(open, closed string, n int) string { return strings.Repeat(open, n) + strings.Repeat(closed, n) }
	steps := func(n int) string {
		var b strings.Builder
		b.WriteString("name: x\ntrigger: {use: manual}\nsteps:\n")
		for i := range n {
			fmt.Fprintf(&b, "  - {id: s%d, set: 1}\n", i)
		}
		return b.String()
	}
	for _, x := range []struct {
		name, src string
		f         graph.Format
		code      string // "" is accepted
	}{
		{"100 KB of brackets", strings.Repeat("[", 100<<10), graph.YAML, "limit"},
		{"1 MiB of brackets", strings.Repeat("[", 1<<20), graph.JSON, "limit"},
		{"1 MiB of dashes", strings.Repeat("- ", 1<<19), graph.YAML, "limit"},
		{"more than 1 MiB", strings.Repeat(" ", 1<<20+1), graph.YAML, "limit"},
		{"161 deep YAML", deep("[", "]", 161), graph.YAML, "limit"},
		{"161 deep JSON", deep("[", "]", 161), graph.JSON, "limit"},
		{"160 deep is only no graph", deep("[", "]", 160), graph.JSON, "type"},
		{"1,001 steps", steps(1001), graph.YAML, "limit"},
		{"1,000 steps", steps(1000), graph.YAML, ""},
		{"1,000 steps and one of on_failure", steps(1000) + "on_failure: [{id: f, set: 1}]\n", graph.YAML, "limit"},
		{"999 steps and one of on_failure", steps(999) + "on_failure: [{id: f, set: 1}]\n", graph.YAML, ""},
		{"aliases of aliases", "a: &a [x]\nb: &b [*a,*a]\nname: [*b,*b]", graph.YAML, "not_allowed"},
		{"anchor of nothing", "a: *b", graph.YAML, "syntax"},
		{"150,000 values on one line", "[" + strings.Repeat("a: 1, ", 150_000) + "]", graph.YAML, "type"},
		{"too many problems", "{" + strings.Repeat("a: 1, ", 10_000) + "}", graph.YAML, "duplicate_key"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			_, problems := graph.Parse([]byte(x.src), x.f, graph.Limits{})
			if len(problems) > 101 {
				t.Errorf("%d problems", len(problems))
			}
			if x.code == "" {
				if len(problems) > 0 {
					t.Errorf("problems: %s", write(problems))
				}
				return
			}
			if !slices.ContainsFunc(problems, func(p graph.Problem) bool { return p.Code == x.code }) {
				t.Errorf("want a problem of code %s, got:\n%s", x.code, write(problems))
			}
		})
	}
}

// The same document has the same problems in YAML and in JSON, which is YAML.
func TestSameProblems(t *testing.T) {
	t.Parallel()
	src := []byte(`{"nam": 1, "trigger": {"use": "A"}, "steps": [{"id": "a", "set": 1, "set": 2}, {"id": "a", "after": ["b"]}]}`)
	_, fromJSON := graph.Parse(src, graph.JSON, graph.Limits{})
	_, fromYAML := graph.Parse(src, graph.YAML, graph.Limits{})
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" || len(fromJSON) < 6 {
		t.Errorf("%d problems (-json +yaml):\n%s", len(fromJSON), diff)
	}
}

func TestOddNumbers(t *testing.T) {
	t.Parallel()
	for s, odd := range map[string]bool{
		"0x1F": true, "0o17": true, "0b11": true, "017": true, "1_000": true, "+1": true, "-.5": true, ".5": true, "5.": true,
		".inf": true, "-.INF": true, ".NaN": true, "00": true, "1e05": false, "1": false, "-0.5": false,
		"_": false, ".": false, "e5": false, "1e": false, "+": false, "--1": false, "1.2.3": false, "0b9": false,
		"30s": false, "x1": false, "..5": false, "0x": false, "+a": false, "._": false, "1:30": false,
	} {
		_, problems := graph.Parse([]byte("name: x\ntrigger: {use: manual}\nsteps:\n- id: a\n  set:\n    n: "+s), graph.YAML, graph.Limits{})
		if got := len(problems) > 0; got != odd {
			t.Errorf("%s: refused %t, want %t: %v", s, got, odd, problems)
		}
	}
}

// A problem tells its place as far as it is known.
func TestProblemsTellTheirPlace(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]graph.Problem{
		`line 3, column 5: /a: m; s`: {Pointer: "/a", Line: 3, Column: 5, Message: "m", Suggestion: "s"},
		`line 3: m`:                  {Line: 3, Message: "m"},
		`/a: m`:                      {Pointer: "/a", Message: "m"},
	} {
		if got := p.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
