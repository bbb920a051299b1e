package expr

import "testing"

// The accumulator has the type that what it begins with and the body agree on.
func TestReduceIsTyped(t *testing.T) {
	t.Parallel()
	xs := mustSchema(t, `{"type":"array","items":{"type":"object","additionalProperties":false,"required":["name","price"],
		"properties":{"name":{"type":"string"},"price":{"type":"number"},"note":{"type":"string"}}}}`)
	sc := NewScope(Var{Name: "xs", Type: xs}, Var{Name: "x"})
	for _, c := range []struct{ src, want string }{
		{`reduce(xs, #acc + .name, "")`, "string"},
		{`reduce(xs, #acc + .price, 0)`, "number"},
		{`reduce([1, 2], #acc + #, 0)`, "integer"},
		{`reduce([1, 2], #acc + #)`, "integer"},
		{`reduce(xs, {{sum: #acc.sum + .price, last: .name}}, {sum: 0, last: ""})`, "object{last: string, sum: number}"},
		{`reduce(xs, concat(#acc, [.name]), [])`, "list(string)"},
		{`reduce(xs, #acc == null ? .price : max(#acc, .price), null)`, "number or null"},
		{`reduce(xs, #acc + reduce(xs, #acc + .price, 0), 0)`, "number"},
		{`reduce(1..30, [#acc, #acc], 1)`, "integer or list"},
		{`reduce(xs, x, "")`, "any"},
		{`reduce(xs, {{n: #acc}}, 1)`, "integer or object{n: any}"},
		// What a pass that isn't the last finds wrong is no problem.
		{`reduce(xs, #acc.n == null ? {n: 1} : {n: 2}, {})`, "object{n?: integer}"},
		{`reduce(xs, #acc.total, {sum: 0})`, `error: 1:17: unknown field total; known are sum`},
		{`reduce(xs, {{sum: #acc.summ + 1}}, {sum: 0})`, `error: 1:24: unknown field summ; did you mean "sum"?`},
		{`reduce(xs, upper(#acc), 1)`, "error: 1:18: argument 1 of upper must be a string, got integer; it is upper(text: string): string"},
		{`reduce(xs, #acc + .note, "")`, "error: 1:20: the value may be absent; add ?? and a default"},
		{`reduce(xs, let n = .name; {(n): 1, n: #acc.n}, {n: 1}).n + 1`, "integer"},
	} {
		p, problems := Compile(c.src, sc)
		got := ""
		if p != nil {
			got = p.Type().String()
		}
		for _, x := range problems {
			got += "error: " + x.String()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.src, got, c.want)
		}
	}
	// What it begins with stands behind the cursor, and doesn't count there.
	done := Complete(`reduce(xs, #acc.na`, 18, sc)
	if len(done.Items) != 1 || done.Items[0].Label != "name" {
		t.Errorf("a member of #acc is completed as %v", done.Items)
	}
}
