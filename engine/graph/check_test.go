package graph_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/graph"
)

const inputSchema = `{
  "type": "object", "additionalProperties": false, "required": ["url"],
  "properties": {
    "url": {"type": "string", "minLength": 3},
    "method": {"enum": ["GET", "POST"]},
    "count": {"type": "integer", "minimum": 1, "maximum": 5},
    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 2},
    "auth": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/tag"}]},
    "when": {"anyOf": [{"type": "string"}, {"type": "null"}]}
  },
  "$defs": {"tag": {"type": "object", "additionalProperties": false, "properties": {"name": {"type": "string"}}}}
}`

func TestCheckSchema(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, value, want string }{
		{"valid", `{"url": "abc", "count": 5, "when": null, "auth": {"name": "a"}}`, ""},
		{"unknown and missing", `{"ulr": "abc"}`, `
1:1 required /with: the field "url" is missing
1:2 unknown_field /with/ulr: unknown field "ulr"; did you mean "url"?`},
		{"all at once", `{"url": 1, "method": "PSOT", "count": 9, "headers": {"a": 1}}`, `
1:9 type /with/url: must be a text, not a number
1:22 enum /with/method: must be one of "GET", "POST"; did you mean "POST"?
1:39 range /with/count: must be at most 5
1:59 type /with/headers/a: must be a text, not a number`},
		{"behind a reference", `{"url": "abc", "tags": [{"nam": "x"}, 1, {}]}`, `
1:24 length /with/tags: may have at most 2 items
1:26 unknown_field /with/tags/0/nam: unknown field "nam"; did you mean "name"?
1:39 type /with/tags/1: must be an object, not a number`},
		{"the form that is meant", `{"url": "abc", "auth": {"nam": "x"}}`, `
1:25 unknown_field /with/auth/nam: unknown field "nam"`},
		{"no form", `{"url": "abc", "auth": 1}`, `
1:24 value /with/auth: fits none of the forms that are allowed here`},
		{"huge number", `{"url": "abc", "count": 1e400}`, `
1:25 range /with/count: must be at most 5`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			v := graph.Tree([]byte(x.value), graph.JSON)
			got := string(write(graph.CheckSchema([]byte(inputSchema), v, "/with")))
			if diff := cmp.Diff(strings.TrimPrefix(x.want, "\n"), strings.TrimSuffix(got, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Nothing is said of a value that is known later, nor of what depends on it.
func TestCheckOpen(t *testing.T) {
	t.Parallel()
	c, err := graph.NewChecker([]byte(inputSchema))
	if err != nil {
		t.Fatal(err)
	}
	open := func(v *graph.Value) bool { return v.Text == "?" }
	v := graph.Tree([]byte(`{"url": "?", "method": "?", "count": "?", "auth": {"name": "?", "x": 1}, "tags": ["?", 2], "headers": {"a": "?"}}`), graph.JSON)
	want := "1:88 type /tags/1: must be an object, not a number\n"
	if diff := cmp.Diff(want, string(write(c.Check(v, "", open)))); diff != "" {
		t.Error(diff)
	}
}

func TestBadSchema(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		`{`, `{"type": "nothing"}`, `{"$ref": "https://example.com/x"}`, `{"$ref": "file:///etc/passwd"}`, `{"pattern": "("}`, `{"$ref": "#/$defs/a"}`,
	} {
		problems := graph.CheckSchema([]byte(schema), &graph.Value{}, "")
		if len(problems) != 1 || problems[0].Code != "schema" {
			t.Errorf("%s: %v", schema, problems)
		}
	}
	loop := `{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}`
	if problems := graph.CheckSchema([]byte(loop), &graph.Value{}, ""); len(problems) == 0 {
		t.Error("a schema that only refers to itself accepts a value")
	}
}

func TestCheckEvent(t *testing.T) {
	t.Parallel()
	schema := []byte(`{"type": "object", "required": ["a"]}`)
	for event, code := range map[string]string{
		`{"a": 1}`: "", `{}`: "required", `{"a": 1, "a": 2}`: "duplicate_key", `{"a"}`: "syntax", "[[[]]]": "type", "[[[[]]]]": "limit",
	} {
		problems := graph.CheckEvent(schema, []byte(event), graph.Limits{Depth: 3})
		if code == "" != (len(problems) == 0) || code != "" && problems[0].Code != code {
			t.Errorf("%s: %v, want code %q", event, problems, code)
		}
	}
}
