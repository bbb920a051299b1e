package expr

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

func textFunctions() []function {
	const group = "text"
	str := StringType()
	text := req("text", str)
	// one is a function from text to text whose result is at most grow times
	// as long.
	one := func(name, doc string, grow int, do func(string) string, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{text}, returns: "string", result: gives(str), doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(grow * len(s))
				f.step(len(s) / 4)
				return do(s)
			},
		}
	}
	// two is a test of a text with another.
	two := func(name, second, doc string, do func(s, t string) bool, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{text, req(second, str)}, returns: "boolean", result: gives(Bool()), doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				s, t := f.str(a[0]), f.str(a[1])
				f.step(len(t) / 16)
				return do(s, t)
			},
		}
	}
	return []function{
		one("lower", "The text in lower case.", 3, strings.ToLower, Example{`lower("Ada.L@Example.com")`, `"ada.l@example.com"`}, Example{`lower("ÄB")`, `"äb"`}),
		one("upper", "The text in upper case.", 3, strings.ToUpper, Example{`upper("ärger")`, `"ÄRGER"`}, Example{`upper("a1")`, `"A1"`}),
		one("capitalize", "The text with its first letter in upper case.", 2, capitalize, Example{`capitalize("ärger")`, `"Ärger"`}, Example{`capitalize("")`, `""`}),
		{
			name: "trim", group: group, params: []param{text, opt("characters", str)}, returns: "string", result: gives(str),
			doc:      "The text without white space, or the given characters, at both ends.",
			examples: []Example{{`trim("  a b ")`, `"a b"`}, {`trim("--a--", "-")`, `"a"`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.step(len(s) / 8)
				if len(a) < 2 {
					return strings.TrimSpace(s)
				}
				set := f.str(a[1])
				if len(set) > 64 {
					f.fail("the characters to trim are %d bytes; at most 64 are allowed", len(set))
				}
				f.step(len(s) * (1 + len(set)/8) / 8)
				return strings.Trim(s, set)
			},
		},
		{
			name: "trimPrefix", group: group, params: []param{text, req("prefix", str)}, returns: "string", result: gives(str),
			doc: "The text without the prefix, if it has it.", examples: []Example{{`trimPrefix("re: hello", "re: ")`, `"hello"`}, {`trimPrefix("hello", "re: ")`, `"hello"`}},
			do: func(f *frame, a []any) any { return strings.TrimPrefix(f.str(a[0]), f.str(a[1])) },
		},
		{
			name: "trimSuffix", group: group, params: []param{text, req("suffix", str)}, returns: "string", result: gives(str),
			doc: "The text without the suffix, if it has it.", examples: []Example{{`trimSuffix("a.txt", ".txt")`, `"a"`}, {`trimSuffix("a.pdf", ".txt")`, `"a.pdf"`}},
			do: func(f *frame, a []any) any { return strings.TrimSuffix(f.str(a[0]), f.str(a[1])) },
		},
		two("hasPrefix", "prefix", "True when the text begins with the prefix.", strings.HasPrefix, Example{`hasPrefix("task.done", "task.")`, `true`}, Example{`hasPrefix("project.new", "task.")`, `false`}),
		two("hasSuffix", "suffix", "True when the text ends with the suffix.", strings.HasSuffix, Example{`hasSuffix("a.txt", ".pdf")`, `false`}, Example{`hasSuffix("a.pdf", ".pdf")`, `true`}),
		{
			name: "split", group: group, params: []param{text, req("separator", str), opt("limit", Int())}, returns: "list(string)", result: gives(ListOf(str)),
			doc:      "The parts of the text between the separators, at most limit of them.",
			examples: []Example{{`split("a,b,c", ",")`, `["a","b","c"]`}, {`split("a,b,c", ",", 2)`, `["a","b,c"]`}},
			do: func(f *frame, a []any) any {
				return split(f, a, strings.SplitN)
			},
		},
		{
			name: "splitAfter", group: group, params: []param{text, req("separator", str), opt("limit", Int())}, returns: "list(string)", result: gives(ListOf(str)),
			doc: "As split, but the parts keep their separator.", examples: []Example{{`splitAfter("a,b", ",")`, `["a,","b"]`}, {`splitAfter("a", ",")`, `["a"]`}},
			do: func(f *frame, a []any) any {
				return split(f, a, strings.SplitAfterN)
			},
		},
		{
			name: "lines", group: group, params: []param{text}, returns: "list(string)", result: gives(ListOf(str)),
			doc: "The lines of the text, without their ends.", examples: []Example{{`lines("a\r\nb\n")`, `["a","b"]`}, {`lines("")`, `[""]`}},
			do: func(f *frame, a []any) any {
				s := strings.TrimSuffix(f.str(a[0]), "\n")
				parts, _ := split(f, []any{s, "\n"}, strings.SplitN).([]any)
				for i, p := range parts {
					parts[i] = strings.TrimSuffix(f.str(p), "\r")
				}
				return parts
			},
		},
		{
			name: "join", group: group, params: []param{req("list", anyList()).as(isTexts), opt("separator", str)}, returns: "string", result: gives(str),
			doc:      "The texts of the items, with the separator between them.",
			examples: []Example{{`join(["a", "b"], ", ")`, `"a, b"`}, {`join([1, true])`, `"1true"`}},
			do:       join,
		},
		{
			name: "replace", group: group, params: []param{text, req("old", str), req("new", str), opt("limit", Int())}, returns: "string", result: gives(str),
			doc:      "The text with each old part, or the first limit of them, replaced by the new one.",
			examples: []Example{{`replace("a-b-c", "-", "+")`, `"a+b+c"`}, {`replace("a-b-c", "-", "", 1)`, `"ab-c"`}},
			do: func(f *frame, a []any) any {
				s, old, with, limit := f.str(a[0]), f.str(a[1]), f.str(a[2]), -1
				if len(a) > 3 {
					limit = f.int(a[3])
				}
				n := strings.Count(s, old)
				if limit >= 0 {
					n = min(n, limit)
				}
				f.step(len(s)/8 + n)
				f.alloc(len(s))
				f.product(n, max(0, len(with)-len(old)))
				return strings.Replace(s, old, with, limit)
			},
		},
		{
			name: "repeat", group: group, params: []param{text, req("times", Int())}, returns: "string", result: gives(str),
			doc: "The text so many times.", examples: []Example{{`repeat("ab", 3)`, `"ababab"`}, {`repeat("ab", 0)`, `""`}},
			do: func(f *frame, a []any) any {
				s, n := f.str(a[0]), f.int(a[1])
				if n < 0 {
					f.fail("a text can't be repeated %d times", n)
				}
				f.product(n, len(s))
				return strings.Repeat(s, n)
			},
		},
		{
			name: "truncate", group: group, params: []param{text, req("length", Int()), opt("end", str)}, returns: "string", result: gives(str),
			doc:      "The first characters of a longer text; the end, such as an ellipsis, counts, and may not be longer.",
			examples: []Example{{`truncate("Write the report", 8, "…")`, `"Write t…"`}, {`truncate("short", 8)`, `"short"`}},
			do: func(f *frame, a []any) any {
				s, n, end := f.str(a[0]), f.int(a[1]), ""
				if len(a) > 2 {
					end = f.str(a[2])
				}
				f.step((len(s) + len(end)) / 16)
				tail := utf8.RuneCountInString(end)
				switch {
				case n < 0:
					f.fail("a text has no %d characters", n)
				case tail > n:
					f.fail("the end %s has more than %d characters", clip(end), n)
				case utf8.RuneCountInString(s) <= n:
					return s
				}
				_, to := f.runes(s, 0, n-tail)
				f.alloc(to + len(end))
				return s[:to] + end
			},
		},
		{
			name: "padStart", group: group, params: []param{text, req("length", Int()), opt("with", str)}, returns: "string", result: gives(str),
			doc: "The text, filled at its start up to the length, with spaces or the given character.", examples: []Example{{`padStart("7", 3, "0")`, `"007"`}, {`padStart("1234", 3)`, `"1234"`}},
			do: func(f *frame, a []any) any { return f.padding(a) + f.str(a[0]) },
		},
		{
			name: "padEnd", group: group, params: []param{text, req("length", Int()), opt("with", str)}, returns: "string", result: gives(str),
			doc: "The text, filled at its end up to the length, with spaces or the given character.", examples: []Example{{`padEnd("ab", 4, ".")`, `"ab.."`}, {`padEnd("ab", 3)`, `"ab "`}},
			do: func(f *frame, a []any) any { return f.str(a[0]) + f.padding(a) },
		},
		partAt("indexOf", "The place of the first such part, in characters from 0, or -1.", strings.Index, Example{`indexOf("äbc", "b")`, `1`}, Example{`indexOf("abc", "x")`, `-1`}),
		partAt("lastIndexOf", "The place of the last such part, in characters from 0, or -1.", strings.LastIndex, Example{`lastIndexOf("abab", "ab")`, `2`}, Example{`lastIndexOf("abc", "x")`, `-1`}),
		{
			name: "len", group: group, params: []param{req("value", of(kString|kList|kObject))}, returns: "integer", result: gives(Int()),
			doc: "The number of characters of a text, items of a list, or members of an object.", examples: []Example{{`len("äb")`, `2`}, {`len([1, 2, 3])`, `3`}, {`len({a: 1})`, `1`}},
			do: length,
		},
		{
			name: "isBlank", group: group, params: []param{req("text", Optional(str))}, returns: "boolean", result: gives(Bool()),
			doc: "True for null and for a text without anything but white space.", examples: []Example{{`isBlank(" ")`, `true`}, {`isBlank(null)`, `true`}},
			do: func(f *frame, a []any) any {
				if a[0] == nil {
					return true
				}
				s := f.str(a[0])
				f.step(len(s) / 8)
				return strings.TrimSpace(s) == ""
			},
		},
		{
			name: "string", group: group, params: []param{req("value", Any()).as(isPresent)}, returns: "string", result: gives(str),
			doc: "The text of a value, as a template has it; a list or an object gives JSON.", examples: []Example{{`string(1000000)`, `"1000000"`}, {`string({a: [1]})`, `"{\"a\":[1]}"`}},
			do: func(f *frame, a []any) any {
				s := f.text(a[0])
				f.alloc(len(s))
				return s
			},
		},
	}
}

// product charges for a*b bytes.
func (f *frame) product(a, b int) {
	if b > 0 && a > f.limits.Bytes/b {
		f.alloc(f.limits.Bytes + 1)
	}
	f.alloc(a * b)
}

func capitalize(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

func split(f *frame, a []any, do func(s, sep string, n int) []string) any {
	s, sep, limit := f.str(a[0]), f.str(a[1]), -1
	if len(a) > 2 {
		limit = f.int(a[2])
	}
	n := strings.Count(s, sep) + 1
	f.step(len(s)/8 + n)
	f.alloc(48 * n)
	parts := do(s, sep, limit)
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out
}

func join(f *frame, a []any) any {
	sep := ""
	if len(a) > 1 {
		sep = f.str(a[1])
	}
	var b []byte
	for i, v := range f.list(a[0]) {
		s := f.text(v)
		f.step(1)
		f.alloc(2 * (len(s) + len(sep)))
		if i > 0 {
			b = append(b, sep...)
		}
		b = append(b, s...)
	}
	return string(b)
}

func (f *frame) padding(a []any) string {
	s, n, with := f.str(a[0]), f.int(a[1]), " "
	if len(a) > 2 {
		with = f.str(a[2])
	}
	if utf8.RuneCountInString(with) != 1 {
		f.fail("a text is filled with one character, not %s", clip(with))
	}
	f.step(len(s) / 16)
	n -= utf8.RuneCountInString(s)
	if n <= 0 {
		return ""
	}
	f.product(n, len(with))
	f.alloc(n*len(with) + len(s))
	return strings.Repeat(with, n)
}

func partAt(name, doc string, find func(s, part string) int, examples ...Example) function {
	return function{
		name: name, group: "text", params: []param{req("text", StringType()), req("part", StringType())}, returns: "integer", result: gives(Int()),
		doc: doc, examples: examples,
		do: func(f *frame, a []any) any {
			s, part := f.str(a[0]), f.str(a[1])
			f.step((len(s) + len(part)) / 4)
			i := find(s, part)
			if i < 0 {
				return -1
			}
			return utf8.RuneCountInString(s[:i])
		},
	}
}

func length(f *frame, a []any) any {
	switch x := a[0].(type) {
	case string:
		f.step(len(x) / 16)
		return utf8.RuneCountInString(x)
	case *Raw:
		if !x.isList() {
			return len(f.object(x))
		}
		return len(f.list(x))
	case []any:
		return len(x)
	case map[string]any, Members:
		return len(f.object(x))
	}
	f.wrong("a string, a list or an object", a[0])
	return nil
}
