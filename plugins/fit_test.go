package plugins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func schema(tb testing.TB, text string) any {
	tb.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var s any
	if err := d.Decode(&s); err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestFits(t *testing.T) {
	t.Parallel()
	const list = `{"$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"}},"additionalProperties":false}},"$ref":"#/$defs/node"}`
	for _, tt := range []struct{ schema, event, want string }{
		{`{}`, `{"a":1}`, ""},
		{`true`, `[1]`, ""},
		{`false`, `1`, "the event: the schema allows no value here"},
		{`{"type":"integer"}`, `12345678901234567890`, ""},
		{`{"type":"integer"}`, `1.0`, ""},
		{`{"type":"integer"}`, `1.5`, "integer is wanted, it is number"},
		{`{"type":"number"}`, `1`, ""},
		{`{"type":["string","null"]}`, `null`, ""},
		{`{"type":["string","null"]}`, `[]`, "string or null is wanted, it is array"},
		{`{"enum":[1.0,"a"]}`, `1`, ""},
		{`{"enum":[1,"a"]}`, `"b"`, "none of the schema's enum"},
		{`{"const":{"a":[1]}}`, `{"a":[1.00]}`, ""},
		{`{"properties":{"a":{"items":{"type":"string"}}}}`, `{"a":["x",2]}`, "a[1]: string is wanted, it is integer"},
		{`{"prefixItems":[{"type":"string"}],"items":{"type":"null"}}`, `["x",null]`, ""},
		{`{"additionalProperties":{"type":"boolean"}}`, `{"a":true,"b":1}`, "b: boolean is wanted"},
		{`{"required":["a"]}`, `{}`, `the field "a" is missing`},
		{`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `1`, "fits none of the schema's anyOf"},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, `1`, "fits 2 of the schema's oneOf"},
		{`{"allOf":[{"type":"integer"},{"enum":[2]}]}`, `1`, "none of the schema's enum"},
		{list, `{"next":{"next":{}}}`, ""},
		{list, `{"next":{"next":{"last":1}}}`, "next.next.last: the schema has no such field"},
		{`{"$ref":"https://example.com/schema"}`, `1`, `refers to "https://example.com/schema", which it doesn't have`},
		{`{"$ref":"#"}`, `1`, "it takes more than"},
		{bomb(), `1`, "it takes more than"},
	} {
		err := fits(schema(t, tt.schema), []byte(tt.event))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.100s %s: %v; %q is wanted", tt.schema, tt.event, err, tt.want)
		}
	}
}

// bomb is a small schema with 2^40 alternatives.
func bomb() string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/a0","$defs":{`)
	for n := range 40 {
		fmt.Fprintf(&b, `"a%d":{"allOf":[{"anyOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}]},`, n, n+1, n+1)
	}
	b.WriteString(`"a40":false}}`)
	return b.String()
}

func FuzzFits(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"$ref":"#"}}}`, []byte(`{"a":{"a":1}}`))
	f.Add(`{"anyOf":[{"enum":[1e400]}]}`, []byte(`1e400`))
	f.Fuzz(func(t *testing.T, text string, event []byte) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var s any
		if d.Decode(&s) != nil {
			return
		}
		if err := fits(s, event); err != nil && !json.Valid(event) {
			return
		}
		if !bytes.Contains([]byte(text), []byte("$ref")) && fits(true, event) != nil && json.Valid(event) {
			t.Errorf("%s fits not even true", event)
		}
	})
}

func BenchmarkFits(b *testing.B) {
	s := schema(b, `{"type":"object","properties":{"id":{"type":"string"},"title":{"type":"string"},"n":{"type":"integer"},
		"tags":{"type":"array","items":{"type":"string"}}},"required":["id"],"additionalProperties":false}`)
	event := []byte(`{"id":"1","title":"` + strings.Repeat("x", 200) + `","n":7,"tags":["a","b","c"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := fits(s, event); err != nil {
			b.Fatal(err)
		}
	}
}
