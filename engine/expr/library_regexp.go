package expr

import "regexp"

func regexpFunctions() []function {
	const group = "regular expressions"
	str := StringType()
	text, pattern := req("text", str), req("pattern", str).as(isPattern)
	return []function{
		{
			name: "match", group: group, params: []param{text, pattern}, returns: "string or null", result: gives(Optional(str)),
			doc:      "The first part of the text that matches the regular expression; with a group in it, what the first group matched; else null.",
			examples: []Example{{`match("order #12", "#([0-9]+)")`, `"12"`}, {`match("order", "[0-9]+")`, `null`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				re, size := f.pattern(a[1])
				f.matching(s, size)
				m := re.FindStringSubmatch(s)
				if m == nil {
					return nil
				}
				return m[min(1, len(m)-1)]
			},
		},
		{
			name: "matchGroups", group: group, params: []param{text, pattern}, returns: "object or null", result: gives(Optional(ObjectOf(nil, Optional(str)))),
			doc: "What the named groups of the regular expression matched in its first match, null for a group that took no part; null without a match.",
			examples: []Example{
				{`matchGroups("Ada <ada@example.com>", "(?P<name>\\w+) <(?P<mail>[^>]+)>")`, `{"mail":"ada@example.com","name":"Ada"}`},
				{`matchGroups("Ada", "(?P<digits>[0-9]+)")`, `null`},
			},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				re, size := f.pattern(a[1])
				f.matching(s, size)
				m := re.FindStringSubmatchIndex(s)
				if m == nil {
					return nil
				}
				out := map[string]any{}
				for i, name := range re.SubexpNames() {
					switch {
					case name == "":
					case m[2*i] < 0:
						f.alloc(80)
						out[name] = nil
					default:
						f.alloc(80)
						out[name] = s[m[2*i]:m[2*i+1]]
					}
				}
				return out
			},
		},
		{
			name: "matchAll", group: group, params: []param{text, pattern}, returns: "list(string)", result: gives(ListOf(str)),
			doc:      "All parts of the text that match the regular expression; with a group in it, what the first group matched.",
			examples: []Example{{`matchAll("a1 b22", "[0-9]+")`, `["1","22"]`}, {`matchAll("#12, #7", "#([0-9]+)")`, `["12","7"]`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				re, size := f.pattern(a[1])
				f.matching(s, size)
				out := []any{}
				for _, m := range f.allMatches(re, s) {
					f.alloc(48)
					switch {
					case len(m) == 2:
						out = append(out, s[m[0]:m[1]])
					case m[2] < 0:
						out = append(out, "")
					default:
						out = append(out, s[m[2]:m[3]])
					}
				}
				return out
			},
		},
		{
			name: "replaceRegexp", group: group, params: []param{text, pattern, req("new", str)}, returns: "string", result: gives(str),
			doc: "The text with each match of the regular expression replaced, $1 being what the first group matched.",
			examples: []Example{
				{`replaceRegexp("2026-11-24", "(\\d+)-(\\d+)-(\\d+)", "$3.$2.$1")`, `"24.11.2026"`},
				{`replaceRegexp("+49 (30) 12-34", "[^+0-9]", "")`, `"+49301234"`},
			},
			do: func(f *frame, a []any) any {
				s, with := f.str(a[0]), f.str(a[2])
				re, size := f.pattern(a[1])
				f.matching(s, size)
				var out []byte
				last := 0
				for _, m := range f.allMatches(re, s) {
					out = append(out, s[last:m[0]]...)
					before := len(out)
					out = re.ExpandString(out, with, s, m)
					// A $ can stand for all of the text.
					f.alloc(2 * (len(out) - before))
					f.step(len(with) / 8)
					last = m[1]
				}
				f.alloc(2 * len(s))
				return string(append(out, s[last:]...))
			},
		},
		{
			name: "splitRegexp", group: group, params: []param{text, pattern}, returns: "list(string)", result: gives(ListOf(str)),
			doc:      "The parts of the text between the matches of the regular expression.",
			examples: []Example{{`splitRegexp("a, b;c", "[,;]\\s*")`, `["a","b","c"]`}, {`splitRegexp("abc", ",")`, `["abc"]`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				re, size := f.pattern(a[1])
				f.matching(s, size)
				out, last := []any{}, 0
				for _, m := range f.allMatches(re, s) {
					if m[0] == m[1] && (m[0] == 0 || m[0] == len(s)) {
						continue // nothing stands before it, or behind it
					}
					f.alloc(48)
					out = append(out, s[last:m[0]])
					last = m[1]
				}
				return append(out, s[last:])
			},
		},
		{
			name: "escapeRegexp", group: group, params: []param{text}, returns: "string", result: gives(str),
			doc:      "The regular expression that matches this text and no other.",
			examples: []Example{{`escapeRegexp("1.5 (a)")`, `"1\\.5 \\(a\\)"`}, {`"a+b" matches escapeRegexp("+")`, `true`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(2 * len(s))
				return regexp.QuoteMeta(s)
			},
		},
	}
}

// allMatches gives the places of all matches and their groups, and stops when
// they would take more memory than is left.
func (f *frame) allMatches(re *regexp.Regexp, s string) [][]int {
	each := 48 + 16*(1+re.NumSubexp())
	found := re.FindAllStringSubmatchIndex(s, f.bytes/each+1)
	f.alloc(each * len(found))
	return found
}
