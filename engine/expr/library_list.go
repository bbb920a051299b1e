package expr

func listFunctions() []function {
	const group = "lists"
	list := req("list", anyList())
	return []function{
		{
			name: "first", group: group, params: []param{req("list", Optional(anyList()))}, returns: "item or null", result: firstItem,
			doc: "The first item, or null.", examples: []Example{{`first([1, 2])`, `1`}, {`first([])`, `null`}},
			do: func(f *frame, a []any) any { return f.index(a[0], 0, f.at) },
		},
		{
			name: "last", group: group, params: []param{req("list", Optional(anyList()))}, returns: "item or null", result: firstItem,
			doc: "The last item, or null.", examples: []Example{{`last([1, 2])`, `2`}, {`last([])`, `null`}},
			do: func(f *frame, a []any) any { return f.index(a[0], -1, f.at) },
		},
		{
			name: "get", group: group, params: []param{req("value", Any()), req("key", of(kString|kInt))}, returns: "value or null",
			result: func(a []*Type) *Type {
				t := never()
				if a[0].dyn {
					return Any()
				}
				if a[0].k&kList != 0 {
					t = union(t, a[0].item())
				}
				if a[0].k&kObject != 0 {
					t = union(t, a[0].member())
				}
				return t.orNull()
			},
			doc: "The member or item of that key or index, or null.", examples: []Example{{`get({a: 1}, "a")`, `1`}, {`get([1], 7)`, `null`}},
			do: func(f *frame, a []any) any { return f.index(a[0], a[1], f.at) },
		},
		{
			name: "take", group: group, params: []param{list, req("count", Int())}, returns: "list", result: sameList,
			doc: "The first items, at most so many.", examples: []Example{{`take([1, 2, 3], 2)`, `[1,2]`}, {`take([1], 5)`, `[1]`}},
			do: func(f *frame, a []any) any {
				n := f.int(a[1])
				if n < 0 {
					f.fail("%d items can't be taken", n)
				}
				return f.slice(f.list(a[0]), 0, n)
			},
		},
		{
			name: "reverse", group: group, params: []param{list}, returns: "list", result: sameList,
			doc: "The items from the last to the first.", examples: []Example{{`reverse([1, 2])`, `[2,1]`}, {`reverse([])`, `[]`}},
			do: func(f *frame, a []any) any {
				l := f.list(a[0])
				f.step(len(l))
				f.alloc(16 * len(l))
				out := make([]any, len(l))
				for i, v := range l {
					out[len(l)-1-i] = v
				}
				return out
			},
		},
		{
			name: "uniq", group: group, params: []param{list}, returns: "list", result: sameList,
			doc: "The items without those that are equal to an earlier one.", examples: []Example{{`uniq([1, 2, 1])`, `[1,2]`}, {`uniq([1, 1.0, "1"])`, `[1,"1"]`}},
			do: uniq,
		},
		{
			name: "compact", group: group, params: []param{list}, returns: "list", result: func(a []*Type) *Type { return ListOf(a[0].item().nonNull()) },
			doc: "The items that aren't null.", examples: []Example{{`compact([1, null, 2])`, `[1,2]`}, {`compact([null])`, `[]`}},
			do: func(f *frame, a []any) any {
				out := []any{}
				for _, v := range f.list(a[0]) {
					f.step(1)
					if v != nil {
						f.alloc(32)
						out = append(out, v)
					}
				}
				return out
			},
		},
		{
			name: "concat", group: group, params: []param{req("lists", Optional(anyList()))}, rest: true, returns: "list",
			result: func(a []*Type) *Type {
				t := never()
				for _, x := range a {
					if !x.only(kNull) {
						t = union(t, x.item())
					}
				}
				return ListOf(t)
			},
			doc: "The items of all lists, one after the other; null counts as empty.", examples: []Example{{`concat([1], [2, 3])`, `[1,2,3]`}, {`concat([1], null)`, `[1]`}},
			do: func(f *frame, a []any) any {
				out := []any{}
				for _, v := range a {
					if v == nil {
						continue
					}
					l := f.list(v)
					f.step(len(l))
					f.alloc(32 * len(l))
					out = append(out, l...)
				}
				return out
			},
		},
		{
			name: "flatten", group: group, params: []param{list}, returns: "list",
			result: func(a []*Type) *Type {
				t := a[0]
				for !t.dyn && t.elem != nil && t.elem.only(kList) {
					t = t.elem
				}
				if !t.dyn && t.item().has(kList) {
					return anyList()
				}
				return ListOf(t.item())
			},
			doc: "The items of the list, and of the lists in it.", examples: []Example{{`flatten([1, [2, [3]]])`, `[1,2,3]`}, {`flatten([])`, `[]`}},
			do: func(f *frame, a []any) any {
				out := []any{}
				f.each(f.list(a[0]), 0, func(v any) {
					f.alloc(32)
					out = append(out, v)
				})
				return out
			},
		},
		{
			name: "sort", group: group, params: []param{list.as(isOrdered), opt("order", Enum("asc", "desc"))}, returns: "list", result: sameList,
			doc: `The items in order, "asc" or "desc".`, examples: []Example{{`sort([3, 1, 2])`, `[1,2,3]`}, {`sort(["a", "b"], "desc")`, `["b","a"]`}},
			do: func(f *frame, a []any) any {
				l := f.list(a[0])
				return f.sorted(l, l, len(a) > 1 && f.descending(a[1]))
			},
		},
		{
			name: "chunk", group: group, params: []param{list, req("size", Int())}, returns: "list(list)", result: func(a []*Type) *Type { return ListOf(sameList(a)) },
			doc: "The items in lists of so many.", examples: []Example{{`chunk([1, 2, 3], 2)`, `[[1,2],[3]]`}, {`chunk([], 2)`, `[]`}},
			do: func(f *frame, a []any) any {
				l, n := f.list(a[0]), f.int(a[1])
				if n < 1 {
					f.fail("a list of %d items can't be made; at least 1", n)
				}
				out := []any{}
				for len(l) > 0 {
					k := min(n, len(l))
					f.step(2)
					f.alloc(64)
					out = append(out, l[:k:k])
					l = l[k:]
				}
				return out
			},
		},
		{
			name: "zip", group: group, params: []param{req("a", anyList()), req("b", anyList())}, returns: "list(list)",
			result: func(a []*Type) *Type { return ListOf(ListOf(union(a[0].item(), a[1].item()))) },
			doc:    "Pairs of the items with the same index, as many as the shorter list has.", examples: []Example{{`zip(["a", "b"], [1, 2])`, `[["a",1],["b",2]]`}, {`zip([1], [])`, `[]`}},
			do: func(f *frame, a []any) any {
				x, y := f.list(a[0]), f.list(a[1])
				n := min(len(x), len(y))
				f.step(2 * n)
				f.alloc(72 * n)
				out := make([]any, n)
				for i := range out {
					out[i] = []any{x[i], y[i]}
				}
				return out
			},
		},
		{
			name: "indexBy", group: group, params: []param{req("list", ListOf(Union(anyObject(), Null()))), req("field", StringType()).as(isField)}, returns: "object",
			result: func(a []*Type) *Type { return ObjectOf(nil, a[0].item()) },
			doc:    "The objects of a list by the text of one of their fields; of equals the last.", examples: []Example{{`indexBy([{id: 7, n: "a"}], "id")`, `{"7":{"id":7,"n":"a"}}`}, {`indexBy([], "id")`, `{}`}},
			do: func(f *frame, a []any) any {
				field := f.str(a[1])
				out := map[string]any{}
				for _, v := range f.list(a[0]) {
					f.step(4)
					k := f.keyText(f.member(v, field, f.at))
					if _, ok := out[k]; !ok {
						f.alloc(80)
						f.key(k)
					}
					out[k] = v
				}
				return out
			},
		},
	}
}

// uniq keeps texts, integers and booleans in a set; others are compared each
// with each, and charged for.
func uniq(f *frame, a []any) any {
	out := []any{}
	seen := map[any]bool{}
	var others []any
next:
	for _, v := range f.list(a[0]) {
		f.step(2)
		switch x := v.(type) {
		case nil, bool, int, string:
			if s, ok := x.(string); ok {
				f.step(len(s) / 16)
			}
			if seen[x] {
				continue
			}
			f.alloc(64)
			seen[x] = true
			// A float64 among the others may be equal to an int.
			if _, ok := x.(int); ok {
				for _, o := range others {
					if f.equal(v, o, 0) {
						continue next
					}
				}
			}
		default:
			if isNumber(v) {
				for _, o := range out {
					if f.equal(v, o, 0) {
						continue next
					}
				}
			} else {
				for _, o := range others {
					if f.equal(v, o, 0) {
						continue next
					}
				}
			}
			others = append(others, v)
		}
		f.alloc(32)
		out = append(out, v)
	}
	return out
}
