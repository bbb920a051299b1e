package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func mustContract(tb testing.TB, schema string) *Contract {
	tb.Helper()
	c, err := New([]byte(schema))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestFits(t *testing.T) {
	t.Parallel()
	const list = `{"$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"}},"additionalProperties":false}},"$ref":"#/$defs/node"}`
	for _, tt := range []struct{ schema, event, want string }{
		{`{}`, `{"a":1}`, ""},
		{`true`, `[1]`, ""},
		{`false`, `1`, "the whole: the schema allows no value here"},
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
		{`{"not":{"$ref":"#"}}`, `1`, "it takes more than"},
		{`{"prefixItems":[{"type":"string"},{"$ref":"#/prefixItems/0"}]}`, `["x",1]`, "[1]: string is wanted"},
		{`{"$defs":{"a/b c":{"type":"null"}},"$ref":"#/$defs/a~1b%20c"}`, `1`, "null is wanted"},
	} {
		err := mustContract(t, tt.schema).Fits([]byte(tt.event))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.100s %s: %v; %q is wanted", tt.schema, tt.event, err, tt.want)
		}
	}
}

// TestFitsLikeAValidator holds each word against a value that just fits and one
// that just doesn't, and asks a full validator of JSON Schema for its view.
func TestFitsLikeAValidator(t *testing.T) {
	t.Parallel()
	for schema, tt := range map[string]struct{ good, bad, want string }{
		`{"minimum":1.50}`:               {`1.5`, `1.49`, "it is less than the schema's minimum, 1.50"},
		`{"maximum":1e2}`:                {`100`, `100.0000001`, "it is more than the schema's maximum, 1e2"},
		`{"exclusiveMinimum":0}`:         {`0.00001`, `0`, "it isn't more than the schema's exclusiveMinimum, 0"},
		`{"exclusiveMaximum":0}`:         {`-1`, `0.0`, "it isn't less than the schema's exclusiveMaximum, 0"},
		`{"multipleOf":0.01}`:            {`19.99`, `19.995`, "it is no multiple of 0.01"},
		`{"minimum":9007199254740993}`:   {`9007199254740993`, `9007199254740992`, "it is less than"},
		`{"minLength":2}`:                {`"ää"`, `"ä"`, "it has 1 characters, at least 2 are wanted"},
		`{"maxLength":2}`:                {`"𝄞𝄞"`, `"abc"`, "it has 3 characters, at most 2 are wanted"},
		`{"pattern":"^[a-z]+$"}`:         {`"abc"`, `"aBc"`, `it doesn't match the schema's pattern "^[a-z]+$"`},
		`{"format":"date-time"}`:         {`"2026-12-01T03:04:05.6Z"`, `"2026-12-01"`, "it is no date-time"},
		`{"format":"date"}`:              {`"2026-12-01"`, `"2026-13-01"`, "it is no date"},
		`{"format":"ipv4"}`:              {`"192.0.2.1"`, `"2001:db8::1"`, "it is no ipv4"},
		`{"format":"ipv6"}`:              {`"2001:db8::1"`, `"fe80::1%eth0"`, "it is no ipv6"},
		`{"format":"uuid"}`:              {`"01a22f91-526e-7887-83ef-49bac95bbf0e"`, `"01a22f91526e788783ef49bac95bbf0e"`, "it is no uuid"},
		`{"minItems":1}`:                 {`[1]`, `[]`, "it has 0 items, at least 1 are wanted"},
		`{"maxItems":1}`:                 {`[1]`, `[1,2]`, "it has 2 items, at most 1 are wanted"},
		`{"uniqueItems":true}`:           {`[1,"1",[1],{"a":1},null]`, `[{"a":1,"b":2.0},3,{"b":2,"a":1}]`, "its items 0 and 2 are equal"},
		`{"contains":{"type":"string"}}`: {`[1,"a"]`, `[1,2]`, "none of its items fits the schema's contains"},
		`{"contains":{"const":1},"minContains":0,"maxContains":0}`: {`[]`, `[1]`, "at most 0 are wanted"},
		`{"contains":{"const":1},"minContains":2,"maxContains":3}`: {`[1,1,1]`, `[1,1,1,1]`, "at most 3 are wanted"},
		`{"minProperties":1}`:               {`{"a":1}`, `{}`, "it has 0 fields, at least 1 are wanted"},
		`{"maxProperties":1}`:               {`{"a":1}`, `{"a":1,"b":1}`, "it has 2 fields, at most 1 are wanted"},
		`{"propertyNames":{"maxLength":2}}`: {`{"ab":1}`, `{"abc":1}`, "the name of abc: it has 3 characters"},
		`{"patternProperties":{"^x-":{"type":"string"}},"additionalProperties":false}`:         {`{"x-a":"b"}`, `{"x-a":"b","y":1}`, "y: the schema has no such field"},
		`{"patternProperties":{"^x-":{"type":"string"}},"properties":{"x-a":{"minLength":2}}}`: {`{"x-a":"bc","y":1}`, `{"x-a":1}`, "x-a: string is wanted"},
		`{"not":{"type":"string"}}`: {`1`, `"a"`, "it fits what the schema's not excludes"},
	} {
		theirs := validator(t, schema)
		for doc, want := range map[string]string{tt.good: "", tt.bad: tt.want} {
			err := mustContract(t, schema).Fits([]byte(doc))
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %v; %q is wanted", schema, doc, err, want)
			}
			if said := theirs(doc); (said == nil) != (err == nil) {
				t.Errorf("%s %s: we say %v, a validator %v", schema, doc, err, said)
			}
		}
	}
}

// validator gives a full validator's view of documents.
func validator(t *testing.T, schema string) func(doc string) error {
	t.Helper()
	read := func(text string) any {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", read(schema)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(doc string) error { return s.Validate(read(doc)) }
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
	f.Add(`{"uniqueItems":true,"multipleOf":1e-9,"not":{"pattern":"(a+)+b"},"patternProperties":{"[":1}}`, []byte(`[1,1.0,{"[":"aaa"}]`))
	f.Fuzz(func(t *testing.T, text string, doc []byte) {
		c, err := New([]byte(text))
		if err != nil {
			return
		}
		if err := c.Fits(doc); err != nil && !json.Valid(doc) {
			return
		}
		if (&Contract{schema: true}).Fits(doc) != nil && json.Valid(doc) {
			t.Errorf("%s fits not even true", doc)
		}
	})
}

func BenchmarkFits(b *testing.B) {
	c := mustContract(b, `{"type":"object","properties":{"id":{"type":"string"},"title":{"type":"string"},"n":{"type":"integer"},
		"tags":{"type":"array","items":{"type":"string"}}},"required":["id"],"additionalProperties":false}`)
	event := []byte(`{"id":"1","title":"` + strings.Repeat("x", 200) + `","n":7,"tags":["a","b","c"]}`)
	for name, fits := range map[string]func([]byte) error{"quick": c.Fits, "whole": c.check} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := fits(event); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
