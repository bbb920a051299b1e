package expr

func objectFunctions() []function {
	const group = "objects"
	object := req("object", anyObject())
	names := req("names", ListOf(StringType())).as(isNames)
	loose := func(a []*Type) *Type { return ObjectOf(nil, a[0].member()) }
	return []function{
		{
			name: "keys", group: group, params: []param{object}, returns: "list(string)", result: gives(ListOf(StringType())),
			doc: "The names of the members, sorted.", examples: []Example{{`keys({b: 1, a: 2})`, `["a","b"]`}, {`keys({})`, `[]`}},
			do: func(f *frame, a []any) any {
				return pairs(f, a[0], func(k string, _ any) any { return k })
			},
		},
		{
			name: "values", group: group, params: []param{object}, returns: "list", result: func(a []*Type) *Type { return ListOf(a[0].member()) },
			doc: "The members, sorted by their names.", examples: []Example{{`values({b: 1, a: 2})`, `[2,1]`}, {`values({a: [1]})`, `[[1]]`}},
			do: func(f *frame, a []any) any {
				return pairs(f, a[0], func(_ string, v any) any { return v })
			},
		},
		{
			name: "toPairs", group: group, params: []param{object}, returns: "list(list)",
			result: func(a []*Type) *Type { return ListOf(ListOf(union(StringType(), a[0].member()))) },
			doc:    "The members as lists of name and value, sorted by their names.", examples: []Example{{`toPairs({b: 1, a: 2})`, `[["a",2],["b",1]]`}, {`toPairs({})`, `[]`}},
			do: func(f *frame, a []any) any {
				return pairs(f, a[0], func(k string, v any) any {
					f.alloc(64)
					return []any{k, v}
				})
			},
		},
		{
			name: "fromPairs", group: group, params: []param{req("pairs", ListOf(anyList()))}, returns: "object", result: gives(anyObject()),
			doc: "The object of lists of name and value; of equal names the last.", examples: []Example{{`fromPairs([["a", 1], ["b", 2]])`, `{"a":1,"b":2}`}, {`fromPairs([["a", 1], ["a", 2]])`, `{"a":2}`}},
			do: func(f *frame, a []any) any {
				out := map[string]any{}
				for _, v := range f.list(a[0]) {
					pair := f.list(v)
					if len(pair) != 2 {
						f.fail("a pair has 2 items, not %d", len(pair))
					}
					f.step(2)
					f.alloc(80)
					out[f.key(f.text(pair[0]))] = pair[1]
				}
				return out
			},
		},
		{
			name: "pick", group: group, params: []param{object, names}, returns: "object", result: loose,
			doc: "The object with these members alone, as far as it has them.", examples: []Example{{`pick({a: 1, b: 2, c: 3}, ["a", "c"])`, `{"a":1,"c":3}`}, {`pick({a: 1}, [])`, `{}`}},
			do: func(f *frame, a []any) any {
				m, out := f.object(a[0]), map[string]any{}
				for _, n := range f.list(a[1]) {
					name := f.str(n)
					f.step(2)
					if v, ok := m[name]; ok {
						f.alloc(80)
						out[name] = v
					}
				}
				return out
			},
		},
		{
			name: "omit", group: group, params: []param{object, names}, returns: "object", result: loose,
			doc: "The object without these members.", examples: []Example{{`omit({a: 1, b: 2}, ["a"])`, `{"b":2}`}, {`omit({a: 1, b: 2, c: 3}, ["a", "b"])`, `{"c":3}`}},
			do: func(f *frame, a []any) any {
				m := f.object(a[0])
				f.step(2 * len(m))
				f.alloc(80 * len(m))
				out := make(map[string]any, len(m))
				for k, v := range m {
					out[k] = v
				}
				for _, n := range f.list(a[1]) {
					f.step(2)
					delete(out, f.str(n))
				}
				return out
			},
		},
		{
			name: "merge", group: group, params: []param{req("objects", Optional(anyObject()))}, rest: true, returns: "object",
			result: mergeType,
			doc:    "The members of all objects, later ones replacing earlier ones; null counts as empty.", examples: []Example{{`merge({a: 1, b: 1}, {b: 2})`, `{"a":1,"b":2}`}, {`merge({a: 1}, null)`, `{"a":1}`}},
			do: func(f *frame, a []any) any {
				out := map[string]any{}
				for _, v := range a {
					if v == nil {
						continue
					}
					m := f.object(v)
					f.step(2 * len(m))
					f.alloc(80 * len(m))
					for k, x := range m {
						out[k] = x
					}
				}
				return out
			},
		},
	}
}

// mergeType is the type of merge: the last object that surely has a member
// decides about it.
func mergeType(a []*Type) *Type {
	var props []Prop

	index := map[string]int{}
	for _, t := range a {
		if t.only(kNull) {
			continue
		}
		if t.dyn || t.nullable() || t.extra != nil {
			return anyObject()
		}
		for _, p := range t.props {
			i, ok := index[p.name]
			switch {
			case !ok:
				index[p.name] = len(props)
				props = append(props, Prop{p.name, p.typ, p.opt})
			case p.opt:
				props[i].Type = union(props[i].Type, p.typ)
			default:
				props[i] = Prop{p.name, p.typ, false}
			}
		}
	}
	return bounded(ObjectOf(props, nil))
}

// pairs makes a list of the members in the order of their names.
func pairs(f *frame, v any, item func(name string, v any) any) any {
	m := f.object(v)
	out := make([]any, 0, len(m))
	f.alloc(16 * len(m))
	for _, k := range f.sortedKeys(m) {
		out = append(out, item(k, m[k]))
	}
	return out
}
