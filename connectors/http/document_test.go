package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/connectors/http"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// catalogue knows the HTTP actions, and a trigger whose event may be anything.
type catalogue struct{}

func (catalogue) Trigger(string) (program.TriggerSpec, error) {
	return program.TriggerSpec{Use: "manual.manual", Kind: "manual"}, nil
}

func (catalogue) Action(use string) (program.ActionSpec, error) {
	for _, a := range http.New().Actions {
		if "http."+a.Name == use {
			return program.ActionSpec{Use: use, Input: a.Input, Output: a.Output, Idempotent: a.Idempotent, Keyed: a.Keyed, KeyField: a.KeyField}, nil
		}
	}
	return program.ActionSpec{}, &program.UnknownUse{Name: use, Message: "no action " + use}
}

// runSteps runs the steps of a graph, in YAML, on an event.
func runSteps(t *testing.T, h sdk.Host, steps, event string) {
	t.Helper()
	doc, found := graph.Parse([]byte("format: 1\nname: x\ntrigger: {use: manual}\nsteps:\n"+steps), graph.YAML, graph.Limits{})
	if len(found) > 0 {
		t.Fatalf("%s\n%+v", steps, found)
	}
	p, found := program.Build(doc, catalogue{})
	if len(found) > 0 {
		t.Fatalf("%s\n%+v", steps, found)
	}
	m := machine.New(p, machine.Run{ID: "0193e0a4-7d5b-7c3a-9f3e-5a1b2c3d4e5f", Version: 1, Attempt: 1})
	todo := m.Apply(machine.Fact{At: 1, Of: &machine.Accepted{Event: json.RawMessage(event)}})
	for len(todo) > 0 {
		c := todo[0]
		todo = todo[1:]
		switch c := c.(type) {
		case *machine.Effect:
			var in sdk.Fields
			for _, f := range c.Input {
				in = append(in, sdk.Field{Name: f.Name, Value: f.Value})
			}
			r, err := action(t, strings.TrimPrefix(c.Action, "http.")).Do(t.Context(), h, sdk.ActionCall{Input: in, IdempotencyKey: "7d0c5e6c6b8b4ad2"})
			if err != nil {
				t.Fatalf("%s\n%v", steps, err)
			}
			todo = append(todo, m.Apply(machine.Fact{At: 2, Key: c.Key, Of: &machine.Settled{Output: r.Output}})...)
		case *machine.End:
			if c.State != machine.Succeeded {
				t.Fatalf("%s\n%+v", steps, c.Err)
			}
		}
	}
}

func TestS23_EachFieldMayBeMapped(t *testing.T) {
	t.Parallel()
	const event = `{"url":"https://x.test/hook","method":"PATCH","headers":{"X-A":"1"},"name":"2","query":{"q":[1,null]},"body":{"a":null},
		"kind":"json","nulls":false,"key":"X-Key","form":{"a":1,"b":null}}`
	const common = `
      url: ${{ trigger.url }}
      headers: ${{ trigger.headers }}
      query: ${{ trigger.query }}
      send_nulls: ${{ trigger.nulls }}
`
	for _, tt := range []struct{ steps, want string }{
		{"  - id: a\n    use: http.get\n    with:" + common, "GET https://x.test/hook?q=1&q=\nX-A: 1\n"},
		{
			"  - id: a\n    use: http.post\n    with:" + common + "      body: ${{ trigger.body }}\n      idempotency_key: ${{ trigger.key }}\n",
			"POST https://x.test/hook?q=1&q=\nX-A: 1\nContent-Type: application/json\nX-Key: 7d0c5e6c6b8b4ad2\n\n{}",
		},
		{
			"  - id: a\n    use: http.custom\n    with:" + common + "      method: ${{ trigger.method }}\n      body_type: ${{ trigger.kind }}\n      body: ${{ trigger.body }}\n",
			"PATCH https://x.test/hook?q=1&q=\nX-A: 1\nContent-Type: application/json\nIdempotency-Key: 7d0c5e6c6b8b4ad2\n\n{}",
		},
		{
			"  - id: a\n    use: http.custom\n    with:" + common + "      method: POST\n      form_data: ${{ trigger.form }}\n",
			"POST https://x.test/hook?q=1&q=\nX-A: 1\n" + formType + "Idempotency-Key: 7d0c5e6c6b8b4ad2\n\n" + part(`name="a"`, "1") + end,
		},
	} {
		k := newKeeper()
		runSteps(t, k, tt.steps, event)
		if diff := cmp.Diff([]string{tt.want}, plainBoundaries(k.sent)); diff != "" {
			t.Errorf("%s\n%s", tt.steps, diff)
		}
	}
	// From an earlier step: its body, and its file.
	k := newKeeper()
	k.status, k.header, k.body = 200, sdk.Header{{Name: "Content-Type", Value: "image/png"}}, strings.NewReader("PNG!")
	runSteps(t, &lending{k}, `  - id: a
    use: http.get
    with: {url: "https://x.test/a.png"}
  - id: b
    use: http.custom
    with: {method: POST, url: "https://x.test/${{ steps.a.status }}", form_data: {"f[]": "${{ steps.a.body }}"}}
`, `{}`)
	want := []string{
		"GET https://x.test/a.png\n",
		"POST https://x.test/200\n" + formType + "Idempotency-Key: 7d0c5e6c6b8b4ad2\n\n" + filePart("f[]", "a.png", "image/png", "PNG!") + end,
	}
	if diff := cmp.Diff(want, plainBoundaries(k.sent)); diff != "" {
		t.Error(diff)
	}
}

// lending gives the files that were made to the calls after.
type lending struct{ *keeper }

func (l *lending) OpenFile(_ context.Context, id string) (sdk.File, io.ReadCloser, error) {
	for _, f := range l.made {
		if f.ID == id {
			return f.File, io.NopCloser(f.bytes()), nil
		}
	}
	return sdk.File{}, nil, sdk.Errorf(sdk.NotFound, "no such file")
}

const document = "../../docs/http.md"

// fences are the fenced blocks of a language, or of any of several.
var fences = regexp.MustCompile("(?ms)^```(json event|yaml steps|text sent)\n(.*?)^```$")

func TestDocumentIsTrue(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/http/*.md")
	if err != nil || len(pages) != 4 {
		t.Fatalf("%q, %v; one for each action is wanted", pages, err)
	}
	var doc strings.Builder
	for _, path := range append([]string{document}, pages...) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		doc.Write(b)
	}
	event, steps, n := "", "", 0
	for _, f := range fences.FindAllStringSubmatch(doc.String(), -1) {
		switch f[1] {
		case "json event":
			event = f[2]
		case "yaml steps":
			steps = f[2]
		case "text sent":
			n++
			k := newKeeper()
			k.put("0f4d5c1b7a9e4c02b1d6f3a8e5c79b10", "plan.txt", "text/plain", "Dig a hole.\n")
			k.put("6b1f0e2d3c4a4b5f8e7d9c0a1b2c3d4e", "Äpfel.png", "image/png", "PNG!")
			runSteps(t, k, steps, event)
			var got string
			if len(k.sent) == 1 {
				got = strings.ReplaceAll(plainBoundaries(k.sent)[0], "\r\n", "\n")
			}
			if diff := cmp.Diff(strings.TrimRight(f[2], "\n"), strings.TrimRight(got, "\n")); diff != "" {
				t.Errorf("%s\n%s", steps, diff)
			}
		}
	}
	if n < 8 {
		t.Errorf("%d examples", n)
	}
}

// The table has each statement of the connector, S1 to S34, once, with the tests
// that have its number in their names: all that there are, and no others.
func TestDocumentNamesItsTests(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string][]string{}
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (TestS[0-9]\w*)\(t \*testing\.T\)`).FindAllStringSubmatch(string(src), -1) {
			for _, s := range regexp.MustCompile(`S[0-9]+`).FindAllString(m[1][:strings.LastIndexByte(m[1], '_')+1], -1) {
				there[s] = append(there[s], m[1])
			}
			if !strings.Contains(m[1], "_") {
				t.Errorf("%s: write %s as TestS1_What", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (S[0-9]+) \|.*$`).FindAllStringSubmatch(string(doc), -1) {
		if rows[row[1]] != nil {
			t.Errorf("%s has two rows", row[1])
		}
		for _, name := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(row[0], -1) {
			rows[row[1]] = append(rows[row[1]], name[1])
		}
	}
	for n := 1; n <= 34; n++ {
		if s := fmt.Sprint("S", n); len(there[s]) == 0 || len(rows[s]) == 0 {
			t.Errorf("%s has %d tests, and %d in its row", s, len(there[s]), len(rows[s]))
		}
	}
	for _, all := range []map[string][]string{rows, there} {
		for _, names := range all {
			slices.Sort(names)
		}
	}
	if d := cmp.Diff(there, rows); d != "" {
		t.Errorf("(-tests +table)\n%s", d)
	}
}
