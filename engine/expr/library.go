package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Function describes one function of the library, for documentation and
// editors.
type Function struct {
	Name  string
	Group string
	// Signature is like "lower(text: string): string".
	Signature string
	// Doc is one or two sentences.
	Doc string
	// Examples are expressions with what they give; the tests run them.
	Examples []Example
}

// An Example is an expression and the JSON of its value.
type Example struct{ Source, Result string }

// Library lists all functions, sorted by name.
func Library() []Function {
	out := make([]Function, 0, len(library))
	for _, s := range ordered {
		out = append(out, Function{
			Name: s.name, Group: s.group, Signature: s.signature(), Doc: s.doc, Examples: slices.Clone(s.examples),
		})
	}
	return out
}

// function is one entry of the library: data for checking, documentation and
// tests, and what it does. It is deterministic, and charges for its work before
// it does it.
type function struct {
	name     string
	group    string
	params   []param
	rest     bool // the last parameter may be repeated
	varies   bool // it reads the clock or the seed, or is there to fail
	returns  string
	result   func(args []*Type) *Type
	doc      string
	examples []Example
	// do computes the value; nil for the functions that take a predicate,
	// which the compiler knows.
	do func(f *frame, a []any) any
}

type param struct {
	name     string
	typ      *Type
	optional bool
	is       role
}

// library is the one table of functions; nothing changes it.
var library = tabulate(
	textFunctions(), numberFunctions(), listFunctions(), objectFunctions(),
	timeFunctions(), formatFunctions(), predicateFunctions(), wordFunctions(), regexpFunctions(),
	decimalFunctions(), calendarFunctions(), encodingFunctions(), urlFunctions(),
	hashFunctions(), idFunctions(), collectionFunctions(), treeFunctions(),
)

// ordered are the functions, sorted by name.
var ordered = func() []*function {
	out := make([]*function, 0, len(library))
	for _, name := range slices.Sorted(maps.Keys(library)) {
		out = append(out, library[name])
	}
	return out
}()

func tabulate(groups ...[]function) map[string]*function {
	t := make(map[string]*function)
	for _, g := range groups {
		for i := range g {
			t[g[i].name] = &g[i]
		}
	}
	return t
}

func (s *function) required() int {
	n := 0
	for _, p := range s.params {
		if !p.optional {
			n++
		}
	}
	return n
}

func (s *function) param(i int) param { return s.params[min(i, len(s.params)-1)] }

// takes says whether a value of type t may be the first argument.
func (s *function) takes(t *Type) bool {
	if len(s.params) == 0 {
		return false
	}
	want := s.params[0].typ
	return want == nil || want.dyn || t.dyn || t.empty() || t.k&want.k != 0
}

func (s *function) arity() string {
	from, to := s.required(), len(s.params)
	switch {
	case s.rest:
		return fmt.Sprintf("at least %s", arguments(from))
	case from == to:
		return arguments(from)
	}
	return fmt.Sprintf("%d to %s", from, arguments(to))
}

func arguments(n int) string {
	switch n {
	case 0:
		return "no argument"
	case 1:
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

func (s *function) signature() string {
	var b strings.Builder
	b.WriteString(s.name + "(")
	for i, p := range s.params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.name)
		if p.optional {
			b.WriteString("?")
		}
		if p.typ != nil {
			b.WriteString(": " + p.typ.String())
		}
	}
	if s.rest {
		b.WriteString(", …")
	}
	return b.String() + "): " + s.returns
}

// Parameters, as the tables write them.

func req(name string, t *Type) param { return param{name: name, typ: t} }
func opt(name string, t *Type) param { return param{name: name, typ: t, optional: true} }

func (p param) as(r role) param {
	p.is = r
	return p
}

func anyList() *Type   { return ListOf(Any()) }
func anyObject() *Type { return ObjectOf(nil, Any()) }

// Results, as the tables write them.

func gives(t *Type) func([]*Type) *Type { return func([]*Type) *Type { return t } }

// sameList is a list of what the first argument, a list, has.
func sameList(a []*Type) *Type { return ListOf(a[0].item()) }

// firstItem is what the first argument, a list, has, or null.
func firstItem(a []*Type) *Type { return a[0].item().orNull() }

func predicateFunctions() []function {
	const group = "lists"
	list := req("list", anyList())
	pred := func(name, what, returns, doc string, examples ...Example) function {
		return function{name: name, group: group, params: []param{list, req(what, nil)}, returns: returns, doc: doc, examples: examples}
	}
	out := []function{
		pred("all", "condition", "boolean", "True when the condition holds for each item, # being the item.", Example{`all([1, 2], # > 0)`, `true`}, Example{`all([], # > 0)`, `true`}),
		pred("any", "condition", "boolean", "True when the condition holds for an item.", Example{`any([1, 2], # > 1)`, `true`}, Example{`any([], # > 0)`, `false`}),
		pred("none", "condition", "boolean", "True when the condition holds for no item.", Example{`none([1, 2], # > 2)`, `true`}, Example{`none([1], # == 1)`, `false`}),
		pred("one", "condition", "boolean", "True when the condition holds for exactly one item.", Example{`one([1, 2], # > 1)`, `true`}, Example{`one([1, 1], # == 1)`, `false`}),
		pred("count", "condition", "integer", "The number of items for which the condition holds.", Example{`count([1, 2, 3], # > 1)`, `2`}, Example{`count([true, false])`, `1`}),
		pred("filter", "condition", "list", "The items for which the condition holds.", Example{`filter([{n: 1}, {n: 2}], .n > 1)`, `[{"n":2}]`}, Example{`filter(["a", ""], # != "")`, `["a"]`}),
		pred("map", "value", "list", "The value for each item. An object as the value is written in double braces.",
			Example{`map([1, 2], # * 10)`, `[10,20]`}, Example{`map(["a"], {{name: #, at: #index}})`, `[{"at":0,"name":"a"}]`}),
		pred("find", "condition", "item or null", "The first item for which the condition holds, else null.", Example{`find([1, 2, 3], # > 1)`, `2`}, Example{`find([1], # > 1)`, `null`}),
		pred("findIndex", "condition", "integer or null", "The index of that item, else null.", Example{`findIndex(["a", "b"], # == "b")`, `1`}, Example{`findIndex([1], # > 1)`, `null`}),
		pred("findLast", "condition", "item or null", "The last item for which the condition holds, else null.", Example{`findLast([1, 2, 3], # > 1)`, `3`}, Example{`findLast([1], # > 1)`, `null`}),
		pred("findLastIndex", "condition", "integer or null", "The index of that item, else null.", Example{`findLastIndex([1, 2, 3], # > 5)`, `null`}, Example{`findLastIndex([1, 2, 1], # == 1)`, `2`}),
		pred("groupBy", "key", "object", "The items in lists, by the text of their key.", Example{`groupBy([1, 2, 3], # % 2)`, `{"0":[2],"1":[1,3]}`}, Example{`groupBy([{s: "a"}], .s)`, `{"a":[{"s":"a"}]}`}),
		pred("sortBy", "key", "list", `The items in the order of their keys, equals as they stood; a third argument says "asc" or "desc".`,
			Example{`sortBy([{n: 2}, {n: 1}], .n)`, `[{"n":1},{"n":2}]`}, Example{`sortBy([1, 2], #, "desc")`, `[2,1]`}),
		pred("sum", "value", "number", "The sum of the values; without a value, of the items.", Example{`sum([{n: 2}, {n: 1}], .n)`, `3`}, Example{`sum([])`, `0`}),
		pred("reduce", "value", "value", "The value for the last item, #acc being that for the item before; a third argument is where it begins.",
			Example{`reduce([1, 2, 3], #acc + #, 0)`, `6`}, Example{`reduce(["a", "b"], #acc + #)`, `"ab"`}),
	}
	for i := range out {
		s := &out[i]
		switch s.name {
		case "count", "sum":
			s.params[1].optional = true
		case "sortBy":
			s.params = append(s.params, opt("order", Enum("asc", "desc")))
		case "reduce":
			s.params = append(s.params, opt("initial", nil))
		}
	}
	return out
}
