package expr

// collectionFunctions are those of lists as sets, tables and windows.
func collectionFunctions() []function {
	const group = "lists"
	list := req("list", anyList())
	objects := req("list", ListOf(Union(anyObject(), Null())))
	field := req("field", StringType()).as(isField)
	both := func(a []*Type) *Type { return ListOf(union(a[0].item(), a[1].item())) }
	set := func(name, doc string, result func([]*Type) *Type, do func(f *frame, a, b []any) any, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{list, req("other", anyList())}, returns: "list", result: result, doc: doc, examples: examples,
			do: func(f *frame, a []any) any { return do(f, f.list(a[0]), f.list(a[1])) },
		}
	}
	test := func(name, doc string, do func(f *frame, in *itemSet, x []any) bool, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{list, req("items", anyList())}, returns: "boolean", result: gives(Bool()), doc: doc, examples: examples,
			do: func(f *frame, a []any) any { return do(f, f.setOf(f.list(a[0])), f.list(a[1])) },
		}
	}
	best := func(name, doc string, sign int, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{objects, field}, returns: "object or null", result: firstItem, doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				name := f.str(a[1])
				var found, key any
				for _, v := range f.list(a[0]) {
					f.step(4)
					k := f.member(v, name, f.at)
					if k == nil {
						continue
					}
					if key == nil || f.compare(k, key)*sign > 0 {
						found, key = v, k
					}
				}
				return found
			},
		}
	}
	return []function{
		{
			name: "drop", group: group, params: []param{list, req("count", Int())}, returns: "list", result: sameList,
			doc: "The items without the first ones, so many.", examples: []Example{{`drop([1, 2, 3], 2)`, `[3]`}, {`drop([1], 5)`, `[]`}},
			do: func(f *frame, a []any) any {
				n := f.int(a[1])
				if n < 0 {
					f.fail("%d items can't be dropped", n)
				}
				return f.slice(f.list(a[0]), n, nil)
			},
		},
		{
			name: "takeLast", group: group, params: []param{list, req("count", Int())}, returns: "list", result: sameList,
			doc: "The last items, at most so many.", examples: []Example{{`takeLast([1, 2, 3], 2)`, `[2,3]`}, {`takeLast([1], 5)`, `[1]`}},
			do: func(f *frame, a []any) any {
				l, n := f.list(a[0]), f.int(a[1])
				if n < 0 {
					f.fail("%d items can't be taken", n)
				}
				return l[max(0, len(l)-n):len(l):len(l)]
			},
		},
		{
			name: "range", group: group, params: []param{req("from", Int()), req("to", Int()), opt("step", Int())}, returns: "list(integer)", result: gives(ListOf(Int())),
			doc: "The integers from the first to before the second, in steps of 1 or the third.", examples: []Example{{`range(0, 3)`, `[0,1,2]`}, {`range(10, 0, -5)`, `[10,5]`}},
			do: func(f *frame, a []any) any {
				from, to, step := f.int(a[0]), f.int(a[1]), 1
				if len(a) > 2 {
					step = f.int(a[2])
				}
				if step == 0 {
					f.fail("a range in steps of 0 has no end")
				}
				out := []any{}
				for i := from; step > 0 && i < to || step < 0 && i > to; {
					f.step(1)
					f.alloc(32)
					out = append(out, i)
					next, ok := f.ints('+', i, step)
					if !ok {
						break
					}
					i = next
				}
				return out
			},
		},
		set("union", "The items of both lists, each once.", both, func(f *frame, a, b []any) any {
			f.alloc(16 * (len(a) + len(b)))
			return uniq(f, []any{append(append(make([]any, 0, len(a)+len(b)), a...), b...)})
		}, Example{`union([1, 2], [2, 3])`, `[1,2,3]`}, Example{`union([], [])`, `[]`}),
		set("intersection", "The items of the first list that are in the second, each once.", sameList, func(f *frame, a, b []any) any {
			in := f.setOf(b)
			return uniq(f, []any{f.kept(a, func(v any) bool { return in.has(f, v) })})
		}, Example{`intersection([1, 2, 2], [2, 3])`, `[2]`}, Example{`intersection([1], [])`, `[]`}),
		set("difference", "The items of the first list that aren't in the second.", sameList, func(f *frame, a, b []any) any {
			in := f.setOf(b)
			return f.kept(a, func(v any) bool { return !in.has(f, v) })
		}, Example{`difference([1, 2, 3], [2])`, `[1,3]`}, Example{`difference(["a"], ["a"])`, `[]`}),
		test("includesAll", "True when the list has all of the items.", func(f *frame, in *itemSet, x []any) bool {
			for _, v := range x {
				if !in.has(f, v) {
					return false
				}
			}
			return true
		}, Example{`includesAll([1, 2, 3], [1, 3])`, `true`}, Example{`includesAll([1], [1, 2])`, `false`}),
		test("includesAny", "True when the list has one of the items.", func(f *frame, in *itemSet, x []any) bool {
			for _, v := range x {
				if in.has(f, v) {
					return true
				}
			}
			return false
		}, Example{`includesAny(["a", "b"], ["b", "c"])`, `true`}, Example{`includesAny([], [1])`, `false`}),
		{
			name: "asList", group: group, params: []param{req("value", Optional(Any()))}, returns: "list",
			result: func(a []*Type) *Type {
				switch t := a[0].nonNull(); {
				case t.dyn || t.k&kList != 0 && !t.only(kList):
					return anyList()
				case t.only(kList):
					return ListOf(t.item())
				default:
					return ListOf(t)
				}
			},
			doc: "A list as it is, null as an empty list, and any other value as a list of itself.", examples: []Example{{`asList("a")`, `["a"]`}, {`asList(null)`, `[]`}, {`asList([1])`, `[1]`}},
			do: func(f *frame, a []any) any {
				switch v := f.force(a[0]).(type) {
				case nil:
					return []any{}
				case []any:
					return v
				default:
					f.alloc(40)
					return []any{v}
				}
			},
		},
		{
			name: "countBy", group: group, params: []param{objects, field}, returns: "object", result: gives(ObjectOf(nil, Int())),
			doc: "How many objects of the list have each value of the field, by its text; those without it aren't counted.", examples: []Example{{`countBy([{s: "a"}, {s: "b"}, {s: "a"}], "s")`, `{"a":2,"b":1}`}, {`countBy([], "s")`, `{}`}},
			do: func(f *frame, a []any) any {
				name := f.str(a[1])
				out := map[string]any{}
				for _, v := range f.list(a[0]) {
					f.step(4)
					k := f.member(v, name, f.at)
					if k == nil {
						continue
					}
					s := f.keyText(k)
					n, ok := out[s].(int)
					if !ok {
						f.alloc(80)
						f.key(s)
					}
					out[s] = n + 1
				}
				return out
			},
		},
		{
			name: "uniqBy", group: group, params: []param{objects, field}, returns: "list", result: sameList,
			doc: "The objects of the list without those whose field has the text of an earlier one's.", examples: []Example{{`uniqBy([{id: 1, n: "a"}, {id: 1, n: "b"}], "id")`, `[{"id":1,"n":"a"}]`}, {`uniqBy([], "id")`, `[]`}},
			do: func(f *frame, a []any) any {
				name := f.str(a[1])
				seen, out := map[string]bool{}, []any{}
				for _, v := range f.list(a[0]) {
					f.step(4)
					k, s := f.member(v, name, f.at), "\x00"
					if k != nil {
						s = f.keyText(k)
					}
					if !seen[s] {
						f.alloc(112)
						f.key(s)
						seen[s] = true
						out = append(out, v)
					}
				}
				return out
			},
		},
		best("maxBy", "The object with the largest value of the field, of equals the first; null of none.", 1,
			Example{`maxBy([{n: 1}, {n: 3}, {n: 2}], "n")`, `{"n":3}`}, Example{`maxBy([], "n")`, `null`}),
		best("minBy", "The object with the smallest value of the field, of equals the first; null of none.", -1,
			Example{`minBy([{n: 2}, {n: 1}], "n")`, `{"n":1}`}, Example{`minBy([{n: null}], "n")`, `null`}),
		{
			name: "sliding", group: group, params: []param{list, req("size", Int())}, returns: "list(list)", result: func(a []*Type) *Type { return ListOf(sameList(a)) },
			doc: "All runs of so many neighbours.", examples: []Example{{`sliding([1, 2, 3], 2)`, `[[1,2],[2,3]]`}, {`sliding([1], 2)`, `[]`}},
			do: func(f *frame, a []any) any {
				l, n := f.list(a[0]), f.int(a[1])
				if n < 1 {
					f.fail("a run has at least 1 item, not %d", n)
				}
				out := []any{}
				for i := 0; i+n <= len(l); i++ {
					f.step(1)
					f.alloc(64)
					out = append(out, l[i:i+n:i+n])
				}
				return out
			},
		},
		{
			name: "transpose", group: group, params: []param{req("rows", ListOf(anyList()))}, returns: "list(list)",
			result: func(a []*Type) *Type { return ListOf(ListOf(a[0].item().item())) },
			doc:    "The columns of the rows, as many as the shortest row has.", examples: []Example{{`transpose([[1, 2], [3, 4]])`, `[[1,3],[2,4]]`}, {`transpose([])`, `[]`}},
			do: func(f *frame, a []any) any {
				rows := f.list(a[0])
				width := -1
				cells := make([][]any, len(rows))
				f.alloc(24 * len(rows))
				for i, r := range rows {
					cells[i] = f.list(r)
					if width < 0 || len(cells[i]) < width {
						width = len(cells[i])
					}
				}
				out := []any{}
				for c := range max(0, width) {
					f.step(1 + len(rows))
					f.alloc(56 + 16*len(rows))
					column := make([]any, len(rows))
					for i := range rows {
						column[i] = cells[i][c]
					}
					out = append(out, column)
				}
				return out
			},
		},
		{
			name: "zipObject", group: group, params: []param{req("names", anyList()).as(isTexts), req("values", anyList())}, returns: "object",
			result: func(a []*Type) *Type { return ObjectOf(nil, a[1].item()) },
			doc:    "The object of names and values with the same index, as many as the shorter list has.", examples: []Example{{`zipObject(["a", "b"], [1, 2])`, `{"a":1,"b":2}`}, {`zipObject(["a"], [])`, `{}`}},
			do: func(f *frame, a []any) any {
				names, values := f.list(a[0]), f.list(a[1])
				out := map[string]any{}
				for i := range min(len(names), len(values)) {
					f.step(2)
					f.alloc(80)
					out[f.key(f.text(names[i]))] = values[i]
				}
				return out
			},
		},
	}
}

// itemSet finds the items of a list that are equal to a value: texts and
// booleans by a table, all others one by one.
type itemSet struct {
	plain  map[any]bool
	others []any
}

func (f *frame) setOf(l []any) *itemSet {
	m := &itemSet{plain: map[any]bool{}}
	for _, v := range l {
		f.step(2)
		f.alloc(48)
		switch x := v.(type) {
		case nil, bool:
			m.plain[x] = true
		case string:
			f.step(len(x) / 16)
			m.plain[x] = true
		default:
			m.others = append(m.others, v)
		}
	}
	return m
}

func (m *itemSet) has(f *frame, v any) bool {
	f.step(2)
	switch x := v.(type) {
	case nil, bool:
		return m.plain[x]
	case string:
		f.step(len(x) / 16)
		return m.plain[x]
	}
	for _, o := range m.others {
		if f.equal(v, o, 0) {
			return true
		}
	}
	return false
}

func (f *frame) kept(l []any, keep func(v any) bool) []any {
	out := []any{}
	for _, v := range l {
		if keep(v) {
			f.alloc(32)
			out = append(out, v)
		}
	}
	return out
}
