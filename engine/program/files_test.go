package program_test

import (
	"testing"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

// uploads is a catalogue whose one action sends files, and whose trigger has
// some.
type uploads struct{}

var _ program.Catalogue = uploads{}

const fileType = `{"type": "object", "required": ["file", "name", "type", "size"], "properties": {
  "file": {"type": "string"}, "name": {"type": "string"}, "type": {"type": "string"}, "size": {"type": "integer"}}}`

func (uploads) Trigger(string) (program.TriggerSpec, error) {
	return program.TriggerSpec{Use: "form.form", Kind: "webhook", Event: []byte(`{"type": "object", "additionalProperties": false, "required": ["files", "photo"],
  "properties": {"files": {"type": "array", "items": ` + fileType + `}, "photo": ` + fileType + `, "tags": {"type": "array", "items": {"type": "string"}}, "body": {}}}`)}, nil
}

func (uploads) Action(use string) (program.ActionSpec, error) {
	return program.ActionSpec{Use: use, Input: []byte(`{"type": "object", "properties": {"parts": {"filesUnder": "[]"}, "other": {},
  "photo": {"type": "object", "format": "file"}}}`)}, nil
}

// S31: at save time a list of files under a key of which only the first would be
// sent is a warning, and nothing else is.
func TestS31_AListOfFilesWithoutBracketsIsAWarning(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ with, at string }{
		{`parts: {a: "${{ trigger.files }}"}`, "/steps/0/with/parts/a"},
		{`parts: {"a/b": "${{ filter(trigger.files, .size > 0) }}"}`, "/steps/0/with/parts/a~1b"},
		{`parts: {a: ["${{ trigger.photo }}", "${{ trigger.files[0] }}"]}`, "/steps/0/with/parts/a"},
		{`parts: [{name: a, value: "${{ trigger.photo }}"}, {name: b, value: "${{ trigger.files }}"}]`, "/steps/0/with/parts/1/value"},
		{`parts: '${{ {"a": trigger.files, "b[]": trigger.files} }}'`, "/steps/0/with/parts"},
		{`parts: {"a[]": "${{ trigger.files }}"}`, ""},
		{`parts: [{name: "a[]", value: "${{ trigger.files }}"}, {name: "${{ trigger.photo.name }}", value: "${{ trigger.files }}"}]`, ""},
		{`parts: {a: "${{ trigger.photo }}", b: "${{ trigger.tags }}", c: "${{ trigger.body }}", d: ["x", "y"], e: ["${{ trigger.photo }}"]}`, ""},
		{`other: {a: "${{ trigger.files }}"}`, ""},
		{`parts: 5`, ""},
	} {
		doc := mustParse(t, "name: s31\ntrigger: {use: form}\nsteps:\n  - {id: a, use: http.send, with: {"+x.with+"}}\n")
		p, problems := program.Build(doc, uploads{})
		at := ""
		for _, w := range problems {
			if w.Code != "one_file" {
				continue
			}
			if at = w.Pointer; !w.Warning || w.Suggestion == "" || w.Line == 0 {
				t.Errorf("%s: %+v", x.with, w)
			}
		}
		if at != x.at || at != "" && (p == nil || len(problems) != 1) {
			t.Errorf("%s: a warning at %q, want %q\n%s", x.with, at, x.at, write(problems))
		}
	}
}

// The warning names the key that would send all.
func TestS31_TheWarningSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, "name: s31\ntrigger: {use: form}\nsteps:\n  - {id: a, use: http.send, with: {parts: {a: '${{ trigger.files }}'}}}\n")
	_, problems := program.Build(doc, uploads{})
	want := graph.Problem{
		Pointer: "/steps/0/with/parts/a", Line: 4, Column: 47, Code: "one_file", Warning: true,
		Message:    "it is a list of files, and under a key without [] only the first of them is sent",
		Suggestion: `write "a[]" to send all, or give one file`,
	}
	if len(problems) != 1 || problems[0] != want {
		t.Errorf("%+v, want %+v", problems, want)
	}
}

// takenUploads is uploads as a version has kept it.
type takenUploads struct{ uploads }

func (takenUploads) Taken() {}

// A file that is written into a graph is refused where a file is wanted: no run
// could have it. Anywhere else it is a value as any other, and a version that was
// published with one can still be built.
func TestAFileCannotBeWritten(t *testing.T) {
	t.Parallel()
	const file = `{file: "1", name: a.txt, type: text/plain, size: 1}`
	for with, at := range map[string]string{
		`photo: ` + file: "/steps/0/with/photo",
		`photo: {file: "${{ trigger.photo.file }}", name: b.txt, type: text/plain, size: 1}`: "",
		`photo: "${{ trigger.photo }}"`: "",
		`other: ` + file:                "",
	} {
		doc := mustParse(t, "name: files\ntrigger: {use: form}\nsteps:\n  - {id: a, use: http.send, with: {"+with+"}}\n")
		_, problems := program.Build(doc, uploads{})
		if _, old := program.Build(doc, takenUploads{}); len(old) > 0 {
			t.Errorf("%s, of a version that was published: %v", with, old)
		}
		if at == "" && len(problems) > 0 || at != "" && (len(problems) != 1 || problems[0].Pointer != at || problems[0].Code != "format" || problems[0].Line != 4) {
			t.Errorf("%s: %v, want a problem at %q", with, problems, at)
		}
	}
}
