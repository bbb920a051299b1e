package expr

import (
	"fmt"
	"strings"
	"testing"
)

// A type survives its schema, as far as JSON has its kinds.
func TestSchemaRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ schema, typ, want string }{
		{``, `any`, `{}`},
		{`true`, `any`, `{}`},
		{`false`, `nothing`, `false`},
		{`{"description":"x"}`, `any`, `{}`},
		{`{"type":"integer","minimum":1}`, `integer`, `{"type":"integer"}`},
		{`{"type":["string","null"]}`, `string or null`, `{"type":["null","string"]}`},
		{`{"type":"string","nullable":true}`, `string or null`, `{"type":["null","string"]}`},
		{`{"const":"a"}`, `"a"`, `{"enum":["a"],"type":"string"}`},
		{`{"enum":["a",null]}`, `"a" or null`, `{"enum":["a",null],"type":["null","string"]}`},
		{`{"type":"string","enum":["a",1]}`, `"a"`, `{"enum":["a"],"type":"string"}`},
		{`{"type":"array"}`, `list`, `{"type":"array"}`},
		{`{"items":{"type":"number"}}`, `list(number)`, `{"items":{"type":"number"},"type":"array"}`},
		{`{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}`, `list(string or integer)`, `{"items":{"type":["integer","string"]},"type":"array"}`},
		{`{"type":"array","prefixItems":[{"type":"string"},{"type":"null"}],"items":false}`, `list(string or null)`, `{"items":{"type":["null","string"]},"type":"array"}`},
		{`{"type":"array","prefixItems":[{"type":"string"}]}`, `list`, `{"type":"array"}`},
		{`{"type":"array","items":false}`, `list`, `{"items":false,"type":"array"}`},
		{`{"type":"object"}`, `object`, `{"type":"object"}`},
		{
			`{"properties":{"b":{"type":"string"},"a":true},"required":["b"]}`, `object{a?: any, b: string, …}`,
			`{"properties":{"a":{},"b":{"type":"string"}},"required":["b"],"type":"object"}`,
		},
		{`{"type":"object","additionalProperties":{"type":"integer"}}`, `object`, `{"additionalProperties":{"type":"integer"},"type":"object"}`},
		{`{"type":"object","required":["a"]}`, `object{a: any, …}`, `{"properties":{"a":{}},"required":["a"],"type":"object"}`},
		{`{"type":"object","additionalProperties":false,"patternProperties":{"^x":{"type":"string"}}}`, `object`, `{"additionalProperties":{"type":"string"},"type":"object"}`},
		{`{"oneOf":[{"type":"string"},{"type":"null"}]}`, `string or null`, `{"type":["null","string"]}`},
		{`{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"required":["a"]},{"required":["b"]}]}`, `object{a?: string, …}`, `{"properties":{"a":{"type":"string"}},"type":"object"}`},
		{
			`{"allOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"type":"object","properties":{"b":{"type":"integer"}},"required":["b"]}]}`,
			`object{a?: string, b: integer, …}`, `{"properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["b"],"type":"object"}`,
		},
		{`{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"string"}}}`, `string`, `{"type":"string"}`},
		{
			`{"type":"object","additionalProperties":false,"properties":{"next":{"$ref":"#"}}}`, `object{next?: object{next?: object{next?: any}}}`,
			`{"additionalProperties":false,"properties":{"next":{"additionalProperties":false,"properties":{"next":{"additionalProperties":false,"properties":{"next":{}},"type":"object"}},"type":"object"}},"type":"object"}`,
		},
	} {
		typ, err := ParseSchema([]byte(c.schema))
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		if typ.String() != c.typ {
			t.Errorf("%s is %s, want %s", c.schema, typ, c.typ)
		}
		if got := string(typ.Schema()); got != c.want {
			t.Errorf("%s becomes %s, want %s", c.schema, got, c.want)
		}
		if again := mustSchema(t, c.want); string(again.Schema()) != c.want {
			t.Errorf("%s becomes %s the second time", c.want, again.Schema())
		}
	}
	for typ, want := range map[*Type]string{
		Null():                `{"type":"null"}`,
		Optional(Time()):      `{"format":"date-time","type":["null","string"]}`,
		Time():                `{"format":"date-time","type":"string"}`,
		Optional(Duration()):  `{"type":["null","string"]}`,
		of(kDecimal):          `{"type":"number"}`,
		SecretType():          `{"type":"string","writeOnly":true}`,
		ObjectOf(nil, nil):    `{"additionalProperties":false,"type":"object"}`,
		Union(Int(), Bool()):  `{"type":["boolean","integer"]}`,
		(*Type)(nil):          `{}`,
		ListOf(ListOf(Int())): `{"items":{"items":{"type":"integer"},"type":"array"},"type":"array"}`,
	} {
		if got := string(typ.Schema()); got != want {
			t.Errorf("%s gives %s, want %s", typ, got, want)
		}
	}
}

func TestSchemaErrors(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		`{"properties":{"a/b":{"items":[{"type":"string"}]}}}`:                                 `schema: /properties/a~1b/items: a list of schemas is that of older drafts; it is called prefixItems`,
		`{"oneOf":[true,{"type":"object","additionalProperties":{"type":"list"}}]}`:            `schema: /oneOf/1/additionalProperties: unknown type "list"; null, boolean, integer, number, string, array and object are known`,
		`{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"prefixItems":[{"type":1}]}}}`: `schema: /$defs/x/prefixItems/0: a type must be a text or a list of texts`,
		`{`:                            `schema: json: the document ends too early, at offset 1: a name in quotes is expected`,
		`[]`:                           `schema: a schema must be an object, true or false`,
		`{"type":"text"}`:              `schema: unknown type "text"; null, boolean, integer, number, string, array and object are known`,
		`{"$ref":"#/$defs/x"}`:         `schema: the $ref "#/$defs/x" points to nothing`,
		`{"$ref":"https://a.example"}`: `schema: the $ref "https://a.example" leaves the schema; only references like #/$defs/name are known`,
	} {
		if _, err := ParseSchema([]byte(schema)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", schema, err, want)
		}
	}
}

// A schema that doubles at each reference stays small.
func TestSchemaBombs(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/d0","$defs":{`)
	for i := range 40 {
		fmt.Fprintf(&b, `"d%d":{"properties":{"a":{"$ref":"#/$defs/d%d"},"b":{"$ref":"#/$defs/d%d"}}},`, i, i+1, i+1)
	}
	b.WriteString(`"d40":{"type":"string"}}}`)
	cyclic := `{"properties":{"l":{"$ref":"#"},"r":{"$ref":"#"},"m":{"items":{"$ref":"#"}}}}`
	for _, s := range []string{b.String(), cyclic, strings.Repeat(`{"items":`, 63) + `{}` + strings.Repeat(`}`, 63)} {
		typ := mustSchema(t, s)
		if typ.size > maxTypeSize {
			t.Errorf("a type of %d nodes", typ.size)
		}
	}
	// And so does a type that an expression doubles.
	src := `let a0 = {n: 1}; `
	for i := range 40 {
		src += fmt.Sprintf("let a%d = {x: a%d, y: a%d, z: [a%d]}; ", i+1, i, i, i)
	}
	p, problems := Compile(src+"a40", nil)
	if p == nil || p.Type().size > maxTypeSize {
		t.Error(problems)
	}
}

func TestAssignable(t *testing.T) {
	t.Parallel()
	obj := `{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"type":"string"},"b":{"type":"integer"}}}`
	for _, c := range []struct{ from, to, why string }{
		{`{}`, `{"type":"string"}`, ``},
		{`{"type":"string"}`, `{}`, ``},
		{`{"type":"integer"}`, `{"type":"number"}`, ``},
		{`{"type":"number"}`, `{"type":"integer"}`, `expected integer, got number; make an integer of it with int() or round()`},
		{`{"type":"integer"}`, `{"type":"string"}`, `expected string, got integer; make a text of it with string()`},
		{`{"type":"string"}`, `{"type":"number"}`, `expected number, got string; make a number of it with int() or float()`},
		{`{"type":"string"}`, `{"type":"array"}`, `expected list, got string; make a list of it with [ ]`},
		{`{"type":["string","null"]}`, `{"type":"string"}`, `the value may be absent; add ?? and a default`},
		{`{"type":"null"}`, `{"type":"string"}`, `expected string, got null`},
		{`{"type":["string","null"]}`, `{"type":["string","null"]}`, ``},
		{`{"enum":["a"]}`, `{"enum":["a","b"]}`, ``},
		{`{"type":"string"}`, `{"enum":["a","b"]}`, ``},
		{`{"const":"PSOT"}`, `{"enum":["GET","POST"]}`, `"PSOT" isn't one of the possible values; did you mean "POST"?`},
		{`{"const":"x"}`, `{"enum":["GET","POST"]}`, `"x" isn't one of the possible values; possible are "GET", "POST"`},
		{`{"items":{"type":"integer"}}`, `{"items":{"type":"string"}}`, `[]: expected string, got integer; make a text of it with string()`},
		{obj, obj, ``},
		{`{"properties":{"b":{"type":"integer"}},"additionalProperties":false}`, obj, `the member a is missing`},
		{`{"properties":{"a":{"type":"string"}},"additionalProperties":false}`, obj, `a: the member may be absent; add ?? and a default`},
		{`{"properties":{"a":{"type":"string"},"bb":{}},"required":["a"],"additionalProperties":false}`, obj, `unknown member bb; did you mean "b"?`},
		{`{"properties":{"a":{"type":"integer"}},"required":["a"]}`, obj, `a: expected string, got integer; make a text of it with string()`},
		{`{"type":"object"}`, obj, ``},
		{`{"properties":{"x":{"items":{"type":"boolean"}}}}`, `{"additionalProperties":{"items":{"type":"string"}},"type":"object"}`, `x[]: expected string, got boolean; make a text of it with string()`},
	} {
		ok, why := Assignable(mustSchema(t, c.from), mustSchema(t, c.to))
		if why != c.why || ok != (c.why == "") {
			t.Errorf("%s to %s: %v %q, want %q", c.from, c.to, ok, why, c.why)
		}
	}
	for _, c := range []struct {
		from, to *Type
		ok       bool
	}{
		{Time(), StringType(), true},
		{Duration(), StringType(), true},
		{Time(), Int(), false},
		{SecretType(), StringType(), false},
		{SecretType(), Any(), false},
		{SecretType(), SecretType(), true},
		{ObjectOf([]Prop{{Name: "k", Type: SecretType()}}, nil), ObjectOf(nil, Any()), false},
		{nil, Int(), true},
		{ListOf(never()), ListOf(Int()), true},
	} {
		if ok, why := Assignable(c.from, c.to); ok != c.ok {
			t.Errorf("%s to %s: %v %s", c.from, c.to, ok, why)
		}
	}
}

func TestTypeFace(t *testing.T) {
	t.Parallel()
	o := ObjectOf([]Prop{{"b", Int(), true}, {"a", StringType(), false}, {"b", Bool(), false}}, nil)
	if s := o.String(); s != "object{a: string, b: boolean}" || !o.Closed() {
		t.Error(s)
	}
	if typ, optional, ok := o.Prop("b"); typ.String() != "boolean" || optional || !ok {
		t.Error(typ, optional, ok)
	}
	if _, _, ok := o.Prop("c"); ok {
		t.Error("c is known")
	}
	u := Union(o, ObjectOf([]Prop{{"a", Null(), false}}, nil))
	if s := u.String(); s != "object{a: string or null, b?: boolean}" {
		t.Error(s)
	}
	if ListOf(Int()).Elem().String() != "integer" || Int().Elem() != nil || !Any().IsAny() || !Optional(Int()).Nullable() {
		t.Error("the face lies")
	}
	wide := make([]Prop, 100)
	for i := range wide {
		wide[i] = Prop{Name: fmt.Sprintf("member%02d", i)}
	}
	if s := ObjectOf(wide, nil).String(); len(s) > 2*maxTypeText || !strings.HasSuffix(s, ", …}") {
		t.Error(s)
	}
}

// The possible values of an operand aren't those of what is computed from it.
func TestResultsForgetPossibleValues(t *testing.T) {
	t.Parallel()
	sc := NewScope(Var{Name: "five", Type: mustSchema(t, `{"const":5}`)}, Var{Name: "s", Type: Enum("a b")})
	for _, src := range []string{`-five`, `abs(five)`, `five + 1`, `s[1:]`, `s + ""`, `upper(s)`, `sum([five])`} {
		p, problems := Compile(src, sc)
		if p == nil || len(p.Type().enum) > 0 {
			t.Error(src, problems)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"title", "tags", "assignee", "due", "Due", "created_at"}
	for name, want := range map[string]string{
		"tilte": "title", "titel": "title", "Title": "title", "tag": "tags", "asignee": "assignee", "createdat": "created_at",
		"deu": "due", "x": "", "xyz": "", "completely": "", "": "", "due": "Due", strings.Repeat("a", 70): "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
