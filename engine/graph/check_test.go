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

// errorMessage is told in the place of what would be, where it stands: a text for
// all below too, texts by keyword for that schema alone.
func TestSchemaSaysTheMessage(t *testing.T) {
	t.Parallel()
	const schema = `{
  "type": "object",
  "properties": {
    "a/b": {"type": "string", "pattern": "^x$", "errorMessage": "must be x"},
    "all": {"errorMessage": "all of it", "properties": {"deep": {"type": "string"}, "own": {"type": "string", "errorMessage": "its own"}}},
    "by": {"type": "object", "additionalProperties": false, "errorMessage": {"type": "an object, please", "additionalProperties": "no such name"},
      "properties": {"deep": {"type": "object", "additionalProperties": false}}},
    "any": {"errorMessage": "a text or a pair", "anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}, {"type": "array", "items": {"type": "string"}}]},
    "errorMessage": {"type": "string"}
  },
  "allOf": [{"if": {"required": ["by"]}, "then": {"properties": {"not": {"type": "null", "errorMessage": "not beside by"}}}}]
}`
	for value, want := range map[string]string{
		`{"a/b": "y"}`:                       "1:9 pattern /with/a~1b: must be x\n",
		`{"a/b": 1}`:                         "1:9 type /with/a~1b: must be x\n",
		`{"all": {"deep": 1, "own": 2}}`:     "1:18 type /with/all/deep: all of it\n1:28 type /with/all/own: its own\n",
		`{"by": 1}`:                          "1:8 type /with/by: an object, please\n",
		`{"by": {"x": 1, "deep": {"y": 2}}}`: "1:9 unknown_field /with/by/x: no such name\n1:26 unknown_field /with/by/deep/y: unknown field \"y\"\n",
		`{"any": 1}`:                         "1:9 value /with/any: a text or a pair\n",
		`{"any": {"x": 1}}`:                  "1:9 value /with/any: a text or a pair\n",
		`{"any": ["a", 1]}`:                  "1:15 type /with/any/1: a text or a pair\n",
		`{"by": {}, "not": 1}`:               "1:19 type /with/not: not beside by\n",
		`{"errorMessage": 1}`:                "1:18 type /with/errorMessage: must be a text, not a number\n",
		`{"a/b": "x", "any": {"name": 1}}`:   "",
	} {
		v := graph.Tree([]byte(value), graph.JSON)
		if diff := cmp.Diff(want, string(write(graph.CheckSchema([]byte(schema), v, "/with")))); diff != "" {
			t.Errorf("%s:\n%s", value, diff)
		}
	}
}

// A file is known to its run alone: an action's input takes none that is written
// in a document, where it would be a file, and takes one whose id is mapped. The
// control is a schema of anything else, such as an event's.
func TestAFileIsMappedNotWritten(t *testing.T) {
	t.Parallel()
	const schema = `{"properties": {
  "file": {"type": "object", "format": "file"}, "any": {}, "many": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object", "format": "file"}]}},
  "headers": {"type": "object", "format": "header-fields"}}}`
	input, err := graph.NewInputChecker([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	other, err := graph.NewChecker([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	for value, where := range map[string]string{
		`{"file": {"file": "1", "name": "a"}}`:                          "/file",
		`{"many": ["x", {"file": "1"}]}`:                                "/many/1",
		`{"file": {"file": "${{ trigger.files[0].file }}"}}`:            "",
		`{"file": "${{ trigger.files[0] }}"}`:                           "",
		`{"any": {"file": "1", "name": "a", "type": "t/t", "size": 1}}`: "",
	} {
		v := graph.Tree([]byte(value), graph.JSON)
		open := func(v *graph.Value) bool { return strings.HasPrefix(v.Text, "${{") }
		found := input.Check(v, "", open)
		if where == "" && len(found) > 0 || where != "" && (len(found) != 1 || found[0].Pointer != where || !strings.Contains(found[0].Message, "map one whole")) {
			t.Errorf("%s: %v, want a problem at %q", value, found, where)
		}
		if found := other.Check(v, "", open); len(found) > 0 {
			t.Errorf("%s is no input: %v", value, found)
		}
	}
	for value, want := range map[string]bool{
		`{"headers": {"Content-Type": "a", "content-type": "b"}}`: true, `{"headers": {"HOST": "a", "host": "b"}}`: true,
		`{"headers": {"X-A": "a", "x-a": "b", "Content-Type": "c"}}`: false,
	} {
		if found := other.Check(graph.Tree([]byte(value), graph.JSON), "", nil); (len(found) == 1) != want {
			t.Errorf("%s: %v", value, found)
		}
	}
}
