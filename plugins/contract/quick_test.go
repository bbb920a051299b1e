package contract

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

const quickObject = `{"type":"object","title":"T","properties":{"id":{"type":"string"},"n":{"type":"integer"},
	"level":{"type":"string","enum":["low","high"]},"at":{"type":"string","format":"date-time"},"size":{"type":"integer","minimum":0},
	"tags":{"type":"array","items":{"type":["string","null"]}},"any":{}},"required":["id"],"additionalProperties":false}`

// quickly are documents that need one look.
var quickly = []struct{ schema, doc string }{
	{`true`, `[1,{"a":"\u00e9\n"},-0.5e+3,null]`},
	{`{}`, ` {"a" : [ ] , "b" : { } } `},
	{`{"type":["integer","null"]}`, `-12`},
	{`{"type":["integer","null"]}`, `null`},
	{`{"type":"number"}`, `1.5`},
	{`{"type":"number"}`, `10E-2`},
	{`{"type":"boolean"}`, `false`},
	{`{"const":"a"}`, `"a"`},
	{`{"enum":[1,"a"]}`, `"a"`},
	{`{"format":"email"}`, `"whatever"`},
	{`{"minimum":0}`, `0.0`},
	{`{"minimum":0}`, `"-1"`},
	{quickObject, `{"id":"1"}`},
	{quickObject, `{"n":0,"level":"high","at":"2026-12-01T00:00:00Z","size":7,"tags":["a",null],"any":{"x":[]},"id":"\"\\\/\b\f\n\r\t\u00FF"}`},
	{quickObject, `{"id":"1","id":"2"}`},
	{`{"type":"object","additionalProperties":{"type":"boolean"}}`, `{"a":true,"b":false}`},
	{`{"additionalProperties":{"type":"boolean"},"items":{"type":"null"}}`, `[null]`},
}

// slowly are documents that one look can't tell, whether they fit or not.
var slowly = []struct{ schema, doc string }{
	{`false`, `1`},
	{`{}`, ``},
	{`{}`, `1 2`},
	{`{}`, `{"a":1,}`},
	{`{}`, `{"a":1`},
	{`{}`, `{a:1}`},
	{`{}`, `[1,]`},
	{`{}`, `[1`},
	{`{}`, `"a`},
	{`{}`, "\"\t\""},
	{`{}`, `"\x"`},
	{`{}`, `"\u00g0"`},
	{`{}`, `"\u00`},
	{`{}`, `01`},
	{`{}`, `- 1`},
	{`{}`, `1.`},
	{`{}`, `1e`},
	{`{}`, `.5`},
	{`{}`, `+1`},
	{`{}`, `nul`},
	{`{}`, `NaN`},
	{`{"type":"integer"}`, `1.0`},
	{`{"type":"integer"}`, `"1"`},
	{`{"type":"string"}`, `1`},
	{`{"type":"null"}`, `{}`},
	{`{"type":"null"}`, `[]`},
	{`{"type":"null"}`, `true`},
	{`{"type":"string"}`, `null`},
	{`{"minimum":0}`, `-1`},
	{`{"minimum":1}`, `1`},
	{`{"enum":["a"],"const":"a"}`, `"a"`},
	{`{"enum":["a"]}`, `"\u0061"`},
	{`{"enum":["a"]}`, `"b"`},
	{`{"enum":["a"]}`, `["a"]`},
	{`{"enum":[{}]}`, `{}`},
	{`{"enum":[true]}`, `true`},
	{`{"enum":[false]}`, `false`},
	{`{"enum":[null]}`, `null`},
	{`{"enum":[1]}`, `1`},
	{`{"const":1}`, `1`},
	{`{"format":"date-time"}`, `"today"`},
	{`{"type":"text"}`, `1`},
	{`{"type":[]}`, `1`},
	{`{"required":["a"]}`, `{"a":1}`},
	{`{"anyOf":[{}]}`, `1`},
	{`{"pattern":"a"}`, `"a"`},
	{`{"properties":{"a":{"maxLength":1}}}`, `{"a":"b"}`},
	{quickObject, `{}`},
	{quickObject, `{"n":1}`},
	{quickObject, `{"id":1}`},
	{quickObject, `{"id":"1","id":2}`},
	{quickObject, `{"id":"1","more":2}`},
	{quickObject, `{"id":"1","\u006e":2}`},
	{quickObject, `{"id":"1","tags":["a",1]}`},
	{`{"properties":{"\ufffd":{"type":"null"}}}`, "{\"\xff\":1}"},
}

func TestQuick(t *testing.T) {
	t.Parallel()
	for _, tt := range quickly {
		c := mustContract(t, tt.schema)
		if !c.quick.fits([]byte(tt.doc)) {
			t.Errorf("%s takes more than a look at %s", tt.schema, tt.doc)
		}
		if err := c.check([]byte(tt.doc)); err != nil {
			t.Errorf("%s: %s: %v", tt.schema, tt.doc, err)
		}
	}
	for _, tt := range slowly {
		if mustContract(t, tt.schema).quick.fits([]byte(tt.doc)) {
			t.Errorf("%s takes %s at one look", tt.schema, tt.doc)
		}
	}
}

// What authors write in Go needs no more than a look.
func TestQuickTakesWhatTheSDKMakes(t *testing.T) {
	t.Parallel()
	type person struct {
		Name string
		Mail *string
		Age  uint8
	}
	type event struct {
		ID     string
		Kind   string `enum:"made,done"`
		At     time.Time
		By     person
		Others []person          `json:",omitempty"`
		Labels map[string]string `json:",omitempty"`
		Score  float64
		Raw    json.RawMessage
		Done   bool
	}
	mail := "a@example.com"
	doc, err := sdk.Encode(event{
		ID: "1", Kind: "done", At: time.Unix(0, 5), By: person{Name: "A", Mail: &mail}, Others: []person{{}, {Age: 7}},
		Labels: map[string]string{"a": "b"}, Score: 0.5, Raw: json.RawMessage(`[{}]`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := mustContract(t, string(sdk.Schema[event]())); !c.quick.fits(doc) || c.check(doc) != nil {
		t.Errorf("%s takes more than a look at %s: %v", sdk.Schema[event](), doc, c.check(doc))
	}
}

// A document that is nested deeper than a look goes is left to the whole check.
func TestQuickHasABottom(t *testing.T) {
	t.Parallel()
	for depth, want := range map[int]bool{quickDepth + 1: true, quickDepth + 2: false, 1 << 20: false} {
		doc := make([]byte, 0, 2*depth)
		for range depth {
			doc = append(doc, '[')
		}
		for range depth {
			doc = append(doc, ']')
		}
		if got := anything.fits(doc); got != want {
			t.Errorf("depth %d: %v", depth, got)
		}
	}
}

// FuzzQuick holds that the whole check agrees wherever one look is enough.
func FuzzQuick(f *testing.F) {
	for _, tt := range append(quickly, slowly...) {
		f.Add([]byte(tt.schema), []byte(tt.doc))
	}
	f.Fuzz(func(t *testing.T, schema, doc []byte) {
		c, err := New(schema)
		if err != nil || !c.quick.fits(doc) {
			return
		}
		if err := c.check(doc); err != nil {
			t.Errorf("%q takes %q at one look: %v", schema, doc, err)
		}
	})
}
