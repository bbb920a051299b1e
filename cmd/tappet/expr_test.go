package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/expr"
)

// runExpr runs `tappet expr` with arguments.
func runExpr(tb testing.TB, stdin string, args ...string) (stdout, stderr string, err error) {
	tb.Helper()
	c := exprCommand()
	var out, errs bytes.Buffer
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	err = c.ExecuteContext(tb.Context())
	return out.String(), errs.String(), err
}

func TestExprEvalReadsAnEventFromAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"event.json":  `{"body": {"title": "plant", "n": 12345678901234567890}}`,
		"steps.json":  `{"person": {"body": {"city": "Turin"}}}`,
		"schema.json": `{"type": "object", "additionalProperties": false, "properties": {"body": {}}}`,
		"twice.json":  `{"body": 1, "body": 2}`,
		"not.json":    `title: plant`,
		"list.json":   `[1]`,
		"empty.json":  ``,
		"field.expr":  "upper(\n  trigger.body.title\n)\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		name           string
		args           []string
		stdout, stderr string
		err            string
	}{
		{"bare", []string{"upper(trigger.body.title)", "--event", file("event.json")}, "\"PLANT\"\n", "", ""},
		{"a text", []string{"a ${{ trigger.body.title }}", "--event", file("event.json")}, "\"a plant\"\n", "", ""},
		{"digits", []string{"trigger.body.n", "--event", file("event.json")}, "12345678901234567890\n", "", ""},
		{"steps", []string{"steps.person.body.city", "--steps", file("steps.json"), "--type"}, "\"Turin\"\ntype: string\n", "", ""},
		{"usage", []string{"1 + 2", "--usage"}, "3\nused: … of 1000000 steps, … of 8388608 bytes\n", "", ""},
		{"an expression of standard input", []string{"-"}, "{\"a\":5}\n", "", ""},
		{"an expression of a file", []string{"--file", file("field.expr"), "--event", file("event.json")}, "\"PLANT\"\n", "", ""},
		{"two expressions", []string{"1", "--file", file("field.expr")}, "", "", "give either an expression or --file"},
		{"no expression", nil, "", "", "give an expression, - for standard input, or --file"},
		{"a dash", []string{"--", "-5"}, "-5\n", "", ""},
		{"a dash without the other two", []string{"-5"}, "", "", "an expression that begins with a dash stands after --"},
		{"an id", []string{"uuid() + shortId() | len()"}, "48\n", "", ""},
		{"a secret", []string{`{headers: {a: secret("a")}, n: 1}`}, "{\"headers\":{\"a\":{\"$secret\":\"a\"}},\"n\":1}\n", "", ""},
		{"standard input", []string{"trigger.a", "--event", "-"}, "5\n", "", ""},
		{"problem", []string{"upperr(1)"}, "", "error: line 1, column 1: unknown function upperr; did you mean \"upper\"?\n", "there is no value"},
		{"by the sample", []string{"trigger.body.tilte", "--event", file("event.json")}, "null\n", "warning: line 1, column 14: by the sample event: unknown field tilte; did you mean \"title\"?\n", ""},
		{"by the schema", []string{"trigger.bdy", "--schema", file("schema.json")}, "", "error: line 1, column 9: unknown field bdy; did you mean \"body\"?\n", "there is no value"},
		{"evaluation", []string{"1 / 0"}, "", "error: line 1, column 3: division by zero\n", "there is no value"},
		{"not JSON", []string{"1", "--event", file("not.json")}, "", "", "not.json isn't JSON: "},
		{"twice", []string{"1", "--event", file("twice.json")}, "", "", "the sample data: "},
		{"not an object", []string{"1", "--steps", file("list.json")}, "", "", "list.json: it must be a JSON object of outputs by step id"},
		{"empty", []string{"1", "--event", file("empty.json")}, "", "", "empty.json is empty"},
		{"not there", []string{"1", "--event", file("nothing.json")}, "", "", "no such file"},
		{"not UTF-8", []string{"\"\xff\""}, "", "", "the expression isn't valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, err := runExpr(t, `{"a": 5}`, append([]string{"eval"}, c.args...)...)
			if c.stdout == "" && stdout != "" || c.stdout != "" && !like(c.stdout, stdout) {
				t.Errorf("it printed %q, want %q", stdout, c.stdout)
			}
			if d := cmp.Diff(c.stderr, stderr); d != "" {
				t.Errorf("standard error (-want +got):\n%s", d)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// like compares texts in which "…" stands for anything.
func like(want, got string) bool {
	for i, part := range strings.Split(want, "…") {
		at := strings.Index(got, part)
		if at < 0 || i == 0 && at != 0 {
			return false
		}
		got = got[at+len(part):]
	}
	return got == ""
}

func TestExprFunctionsListsTheLibrary(t *testing.T) {
	t.Parallel()
	stdout, _, err := runExpr(t, "", "functions")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range expr.Library() {
		if !strings.Contains(stdout, f.Signature) {
			t.Errorf("%s isn't listed", f.Signature)
		}
	}
	stdout, _, err = runExpr(t, "", "functions", "UPPER", "-o", "json")
	var found []struct{ Name string }
	if err != nil || json.Unmarshal([]byte(stdout), &found) != nil || len(found) == 0 || len(found) > 10 {
		t.Errorf("%s, %v", stdout, err)
	}
	if _, _, err := runExpr(t, "", "functions", "-o", "xml"); err == nil {
		t.Error("-o xml is taken")
	}
}
