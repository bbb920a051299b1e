package expr

import (
	"strconv"
	"strings"
)

// treeFunctions are those of objects that hold others, and of values in
// general.
func treeFunctions() []function {
	const group = "objects"
	object := req("object", anyObject())
	path := req("path", StringType()).as(isPath)
	return []function{
		{
			name: "mergeDeep", group: group, params: []param{req("objects", Optional(anyObject()))}, rest: true, returns: "object", result: gives(anyObject()),
			doc:      "The members of all objects; objects of one name are merged in turn, all else is replaced by the later one. Null counts as empty.",
			examples: []Example{{`mergeDeep({a: {x: 1, y: 1}}, {a: {y: 2}})`, `{"a":{"x":1,"y":2}}`}, {`mergeDeep({a: [1]}, {a: [2]}, null)`, `{"a":[2]}`}},
			do: func(f *frame, a []any) any {
				out := map[string]any{}
				for _, v := range a {
					if v != nil {
						out = f.merged(out, f.object(v), 0)
					}
				}
				return out
			},
		},
		{
			name: "defaults", group: group, params: []param{object, req("others", anyObject())}, returns: "object", result: gives(anyObject()),
			doc:      "The object, with the members of the others that it lacks or has as null.",
			examples: []Example{{`defaults({a: 1, b: null}, {a: 9, b: 2})`, `{"a":1,"b":2}`}, {`defaults({}, {a: 1})`, `{"a":1}`}},
			do: func(f *frame, a []any) any {
				m, others := f.object(a[0]), f.object(a[1])
				f.step(2 * (len(m) + len(others)))
				f.alloc(48 + 80*(len(m)+len(others)))
				out := make(map[string]any, len(m)+len(others))
				for k, v := range others {
					out[k] = v
				}
				for k, v := range m {
					if _, has := others[k]; v != nil || !has {
						out[k] = v
					}
				}
				return out
			},
		},
		{
			name: "rename", group: group, params: []param{object, req("names", ObjectOf(nil, StringType())).as(isRenames)}, returns: "object", result: gives(anyObject()),
			doc:      "The object with members renamed: {old: \"new\"}. Names that it hasn't don't matter.",
			examples: []Example{{`rename({a: 1, b: 2}, {a: "x"})`, `{"b":2,"x":1}`}, {`rename({a: 1, b: 2}, {a: "b", b: "a"})`, `{"a":2,"b":1}`}},
			do: func(f *frame, a []any) any {
				m, names := f.object(a[0]), f.object(a[1])
				f.alloc(80 * len(m))
				out := make(map[string]any, len(m))
				for _, k := range f.sortedKeys(m) {
					name := k
					if to, ok := names[k]; ok {
						name = f.key(f.str(to))
					}
					if _, twice := out[name]; twice {
						f.fail("the key %s is given twice", clip(name))
					}
					out[name] = m[k]
				}
				return out
			},
		},
		{
			name: "withoutNulls", group: group, params: []param{object}, returns: "object", result: func(a []*Type) *Type { return ObjectOf(nil, a[0].member().nonNull()) },
			doc:      "The object without the members that are null.",
			examples: []Example{{`withoutNulls({a: 1, b: null})`, `{"a":1}`}, {`withoutNulls({a: {b: null}})`, `{"a":{"b":null}}`}},
			do: func(f *frame, a []any) any {
				m := f.object(a[0])
				f.step(2 * len(m))
				f.alloc(80 * len(m))
				out := make(map[string]any, len(m))
				for k, v := range m {
					if v != nil {
						out[k] = v
					}
				}
				return out
			},
		},
		{
			name: "invert", group: group, params: []param{object.as(isTexts)}, returns: "object", result: gives(ObjectOf(nil, StringType())),
			doc:      "The names by the texts of their members; of equals the last name.",
			examples: []Example{{`invert({a: "x", b: "y"})`, `{"x":"a","y":"b"}`}, {`invert({a: 1, b: 1})`, `{"1":"b"}`}},
			do: func(f *frame, a []any) any {
				m := f.object(a[0])
				out := map[string]any{}
				for _, k := range f.sortedKeys(m) {
					f.alloc(80)
					out[f.key(f.text(m[k]))] = k
				}
				return out
			},
		},
		{
			name: "getPath", group: group, params: []param{req("value", Optional(Any())), path, opt("default", Any())}, returns: "value or null", result: gives(Any()),
			doc:      "What a path such as a.b.0 that the data gives leads to, else null or the default. A path that is known is better written as value.a.b.",
			examples: []Example{{`getPath({a: {b: [7]}}, "a.b.0")`, `7`}, {`getPath(fromJSON("{\"a\": 1}"), "a.b", "none")`, `"none"`}},
			do: func(f *frame, a []any) any {
				if v := f.path(a[0], f.str(a[1])); v != nil || len(a) < 3 {
					return v
				}
				return a[2]
			},
		},
		{
			name: "hasPath", group: group, params: []param{req("value", Optional(Any())), path}, returns: "boolean", result: gives(Bool()),
			doc:      "True when a path such as a.b.0 leads to something that isn't null.",
			examples: []Example{{`hasPath({a: {b: 1}}, "a.b")`, `true`}, {`hasPath({a: null}, "a")`, `false`}},
			do:       func(f *frame, a []any) any { return f.path(a[0], f.str(a[1])) != nil },
		},
		{
			name: "flattenObject", group: group, params: []param{object, opt("separator", StringType())}, returns: "object", result: gives(anyObject()),
			doc:      "The object with the members of the objects in it, by their paths joined with . or the separator. Lists stay as they are.",
			examples: []Example{{`flattenObject({a: {b: 1, c: {d: 2}}, l: [1]})`, `{"a.b":1,"a.c.d":2,"l":[1]}`}, {`flattenObject({a: {b: 1}}, "_")`, `{"a_b":1}`}},
			do: func(f *frame, a []any) any {
				sep := "."
				if len(a) > 1 {
					sep = f.str(a[1])
				}
				out := map[string]any{}
				f.flatObject(out, "", sep, f.object(a[0]), 0)
				return out
			},
		},
		{
			name: "unflattenObject", group: group, params: []param{object, opt("separator", StringType())}, returns: "object", result: gives(anyObject()),
			doc:      "The inverse of flattenObject: names with . or the separator in them become objects.",
			examples: []Example{{`unflattenObject({"a.b": 1, "a.c": 2})`, `{"a":{"b":1,"c":2}}`}, {`unflattenObject({a_b: 1}, "_")`, `{"a":{"b":1}}`}},
			do:       unflatten,
		},
		{
			name: "isEmpty", group: group, params: []param{req("value", Optional(Any()))}, returns: "boolean", result: gives(Bool()),
			doc:      "True for null, an empty text, an empty list and an empty object.",
			examples: []Example{{`isEmpty([])`, `true`}, {`isEmpty(null)`, `true`}, {`isEmpty(0)`, `false`}},
			do: func(f *frame, a []any) any {
				switch a[0].(type) {
				case nil:
					return true
				case string, []any, map[string]any, Members, *Raw:
					return length(f, a) == 0
				}
				return false
			},
		},
		{
			name: "fail", group: group, varies: true, params: []param{req("message", StringType())}, returns: "nothing", result: gives(never()),
			doc:      "Ends the evaluation with an error of this message: for what must not be mapped.",
			examples: []Example{{`true ? 1 : fail("no customer")`, `1`}, {`"a" ?? fail("no name")`, `"a"`}},
			do: func(f *frame, a []any) any {
				f.fail("%s", f.str(a[0]))
				return nil
			},
		},
	}
}

// merged is a copy of a with the members of b.
func (f *frame) merged(a, b map[string]any, depth int) map[string]any {
	if depth > maxValueDepth {
		f.exceeded("the objects are nested too deeply to be merged")
	}
	f.step(2 * (len(a) + len(b)))
	f.alloc(48 + 80*(len(a)+len(b)))
	out := make(map[string]any, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for _, k := range f.sortedKeys(b) {
		x, xok := f.asObject(out[k])
		y, yok := f.asObject(b[k])
		if xok && yok {
			out[k] = f.merged(x, y, depth+1)
			continue
		}
		out[k] = b[k]
	}
	return out
}

func (f *frame) asObject(v any) (map[string]any, bool) {
	switch x := v.(type) {
	case map[string]any:
		return x, true
	case *Raw:
		if !x.isList() {
			return f.object(x), true
		}
	case Lister:
		return f.object(x), true
	}
	return nil, false
}

// path follows names and indexes that are joined by dots; null where it ends.
func (f *frame) path(v any, path string) any {
	f.step(1 + len(path)/4)
	for rest := path; v != nil; {
		name, more, found := strings.Cut(rest, ".")
		f.step(2)
		switch x := v.(type) {
		case map[string]any, Members:
			v = f.member(x, name, f.at)
		case *Raw:
			if x.isList() {
				v = f.item(f.open(x), name)
			} else {
				v = f.get(x, name)
			}
		default:
			v = f.item(v, name)
		}
		if !found {
			return v
		}
		rest = more
	}
	return nil
}

func (f *frame) item(v any, name string) any {
	l, ok := v.([]any)
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(name)
	if n = fromEnd(n, len(l)); err != nil || n < 0 || n >= len(l) {
		return nil
	}
	return l[n]
}

func (f *frame) flatObject(out map[string]any, prefix, sep string, m map[string]any, depth int) {
	if depth > maxValueDepth {
		f.exceeded("the object is nested too deeply")
	}
	for _, k := range f.sortedKeys(m) {
		name := f.key(prefix + k)
		if x, ok := f.asObject(m[k]); ok && len(x) > 0 {
			f.flatObject(out, name+sep, sep, x, depth+1)
			continue
		}
		if _, twice := out[name]; twice {
			f.fail("the key %s is given twice", clip(name))
		}
		f.alloc(80)
		out[name] = m[k]
	}
}

func unflatten(f *frame, a []any) any {
	sep := "."
	if len(a) > 1 {
		sep = f.str(a[1])
	}
	if sep == "" {
		f.fail("the separator is empty; give one character at least")
	}
	m, out := f.object(a[0]), map[string]any{}
	made := map[string]map[string]any{} // by their paths: what the data brings isn't changed
	for _, k := range f.sortedKeys(m) {
		at := out
		names := strings.Split(k, sep)
		if len(names) > maxValueDepth {
			f.exceeded("the object would be nested too deeply")
		}
		f.step(len(names))
		f.alloc(len(names) * 16)
		for i, name := range names {
			if i == len(names)-1 {
				if _, twice := at[name]; twice {
					f.fail("the key %s is given twice", clip(k))
				}
				f.alloc(80)
				at[name] = m[k]
				break
			}
			path := strings.Join(names[:i+1], sep)
			f.step(len(path) / 16)
			inner := made[path]
			if inner == nil {
				if _, twice := at[name]; twice {
					f.fail("the key %s is a value and an object", clip(path))
				}
				f.alloc(160 + len(path))
				inner = map[string]any{}
				made[path], at[name] = inner, inner
			}
			at = inner
		}
	}
	return out
}
