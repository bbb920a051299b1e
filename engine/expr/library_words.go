package expr

import (
	"html"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// wordFunctions are those of texts as words, names and markup.
func wordFunctions() []function {
	const group = "text"
	str := StringType()
	text := req("text", str)
	one := func(name, doc string, grow int, do func(string) string, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{text}, returns: "string", result: gives(str), doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(grow * len(s))
				f.step(len(s))
				return do(s)
			},
		}
	}
	test := func(name, doc string, do func(string) bool, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{text}, returns: "boolean", result: gives(Bool()), doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(2 * len(s))
				f.step(len(s))
				return do(s)
			},
		}
	}
	return []function{
		one("camelCase", "The words of the text as one name, such as dueDate.", 20, func(s string) string {
			return camel(words(s), false)
		}, Example{`camelCase("Due date")`, `"dueDate"`}, Example{`camelCase("due_date")`, `"dueDate"`}),
		one("pascalCase", "The words of the text as one name, such as DueDate.", 20, func(s string) string {
			return camel(words(s), true)
		}, Example{`pascalCase("due date")`, `"DueDate"`}, Example{`pascalCase("HTTPStatus code")`, `"HttpStatusCode"`}),
		one("snakeCase", "The words of the text in lower case, joined by _.", 20, func(s string) string {
			return strings.ToLower(strings.Join(words(s), "_"))
		}, Example{`snakeCase("dueDate")`, `"due_date"`}, Example{`snakeCase("Due date")`, `"due_date"`}),
		one("kebabCase", "The words of the text in lower case, joined by -.", 20, func(s string) string {
			return strings.ToLower(strings.Join(words(s), "-"))
		}, Example{`kebabCase("dueDate")`, `"due-date"`}, Example{`kebabCase("A1 report")`, `"a1-report"`}),
		one("titleCase", "The text with the first letter of each word in upper case.", 4, titleCase,
			Example{`titleCase("write the report")`, `"Write The Report"`}, Example{`titleCase("o'neil, ärger")`, `"O'neil, Ärger"`}),
		one("slug", "The text as a part of an address: Latin letters, digits and single dashes.", 20, func(s string) string {
			return strings.ToLower(strings.Join(strings.FieldsFunc(removeAccents(s), func(r rune) bool {
				return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)
			}), "-"))
		}, Example{`slug("Über uns: Team & Büro")`, `"uber-uns-team-buro"`}, Example{`slug("  v1.2 ")`, `"v1-2"`}),
		one("removeAccents", "The text with the letters of European languages that have accents replaced by those without.", 3, removeAccents,
			Example{`removeAccents("Crème brûlée")`, `"Creme brulee"`}, Example{`removeAccents("Straße")`, `"Strasse"`}),
		one("normalizeSpace", "The text with each run of white space as one space, and none at its ends.", 18, func(s string) string {
			return strings.Join(strings.Fields(s), " ")
		}, Example{`normalizeSpace("  a \n b ")`, `"a b"`}, Example{`normalizeSpace("a b")`, `"a b"`}),
		one("escapeHtml", "The text with < > & and quotes as HTML writes them.", 6, html.EscapeString,
			Example{`escapeHtml("a < b & c")`, `"a &lt; b &amp; c"`}, Example{`escapeHtml("plain")`, `"plain"`}),
		one("unescapeHtml", "The text that HTML writes so.", 2, html.UnescapeString,
			Example{`unescapeHtml("a &lt; b &amp; c")`, `"a < b & c"`}, Example{`unescapeHtml("caf&eacute;")`, `"café"`}),
		one("stripHtml", "The text of HTML without its tags and comments. It makes nothing safe: escapeHtml does.", 4, func(s string) string {
			return html.UnescapeString(stripTags(s))
		}, Example{`stripHtml("<p>Hello <b>Ada</b></p>")`, `"Hello Ada"`}, Example{`stripHtml("1 &lt; 2<br>")`, `"1 < 2"`}),
		{
			name: "before", group: group, params: []param{text, req("part", str)}, returns: "string", result: gives(str),
			doc: "What stands before the first such part; the whole text, if it hasn't the part.", examples: []Example{{`before("ada@example.com", "@")`, `"ada"`}, {`before("ada", "@")`, `"ada"`}},
			do: func(f *frame, a []any) any {
				s, _, _ := f.cut(a[0], a[1])
				return s
			},
		},
		{
			name: "after", group: group, params: []param{text, req("part", str)}, returns: "string", result: gives(str),
			doc: "What stands behind the first such part; an empty text, if there is none.", examples: []Example{{`after("ada@example.com", "@")`, `"example.com"`}, {`after("ada", "@")`, `""`}},
			do: func(f *frame, a []any) any {
				_, s, _ := f.cut(a[0], a[1])
				return s
			},
		},
		{
			name: "between", group: group, params: []param{text, req("start", str), req("end", str)}, returns: "string or null", result: gives(Optional(str)),
			doc: "What stands between the first start and the next end, or null.", examples: []Example{{`between("id=[7];", "[", "]")`, `"7"`}, {`between("id=7", "[", "]")`, `null`}},
			do: func(f *frame, a []any) any {
				_, s, ok := f.cut(a[0], a[1])
				if !ok {
					return nil
				}
				if s, _, ok = f.cut(s, a[2]); !ok {
					return nil
				}
				return s
			},
		},
		{
			name: "occurrences", group: group, params: []param{text, req("part", str)}, returns: "integer", result: gives(Int()),
			doc: "How often the text has the part, without overlaps.", examples: []Example{{`occurrences("a,b,c", ",")`, `2`}, {`occurrences("aaa", "aa")`, `1`}},
			do: func(f *frame, a []any) any {
				s, part := f.str(a[0]), f.str(a[1])
				if part == "" {
					f.fail("an empty part is everywhere; give one character at least")
				}
				f.step((len(s) + len(part)) / 4)
				return strings.Count(s, part)
			},
		},
		{
			name: "characters", group: group, params: []param{text}, returns: "list(string)", result: gives(ListOf(str)),
			doc: "The characters of the text.", examples: []Example{{`characters("äb")`, `["ä","b"]`}, {`characters("")`, `[]`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.step(len(s))
				f.alloc(40 * len(s))
				out := make([]any, 0, len(s))
				for i, r := range s {
					out = append(out, s[i:i+utf8.RuneLen(r)])
				}
				return out
			},
		},
		{
			name: "mask", group: group, params: []param{text, req("visible", Int()), opt("with", str)}, returns: "string", result: gives(str),
			doc: "The text with all but its last characters replaced by * or the given character.", examples: []Example{{`mask("4111222233334444", 4)`, `"************4444"`}, {`mask("ab", 4, "x")`, `"ab"`}},
			do: func(f *frame, a []any) any {
				s, n, with := f.str(a[0]), f.int(a[1]), "*"
				if len(a) > 2 {
					if with = f.str(a[2]); utf8.RuneCountInString(with) != 1 {
						f.fail("a text is masked with one character, not %s", clip(with))
					}
				}
				hidden := utf8.RuneCountInString(s) - max(0, n)
				if hidden <= 0 {
					return s
				}
				from, _ := f.runes(s, hidden, len(s))
				f.product(hidden, len(with))
				f.alloc(len(s))
				return strings.Repeat(with, hidden) + s[from:]
			},
		},
		{
			name: "byteLength", group: group, params: []param{text}, returns: "integer", result: gives(Int()),
			doc: "The number of bytes of the text's UTF-8.", examples: []Example{{`byteLength("äb")`, `3`}, {`byteLength("")`, `0`}},
			do: func(f *frame, a []any) any { return len(f.str(a[0])) },
		},
		test("isEmail", "True when the text is one plain e-mail address.", func(s string) bool {
			if len(s) > 254 {
				return false
			}
			m, err := mail.ParseAddress(s)
			return err == nil && m.Address == s && m.Name == ""
		}, Example{`isEmail("ada@example.com")`, `true`}, Example{`isEmail("Ada <ada@example.com>")`, `false`}),
		test("isUrl", "True when the text is an address that begins with http:// or https://.", func(s string) bool {
			u, err := url.Parse(s)
			return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
		}, Example{`isUrl("https://example.com/a")`, `true`}, Example{`isUrl("example.com")`, `false`}),
		test("isNumeric", "True when the text is a number that float() reads.", func(s string) bool {
			if len(s) > 64 || strings.ContainsAny(s, "xXpP_nNiI") {
				return false
			}
			return numeric(strings.TrimSpace(s))
		}, Example{`isNumeric("-1.50")`, `true`}, Example{`isNumeric("1,5")`, `false`}),
	}
}

func numeric(s string) bool {
	if s == "" {
		return false
	}
	digits, point, exponent := 0, 0, 0
	for i, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && exponent == 0:
			point++
		case (c == '+' || c == '-') && (i == 0 || s[i-1]|0x20 == 'e'):
		case c|0x20 == 'e' && digits > 0:
			exponent++
			digits = 0
		default:
			return false
		}
	}
	return digits > 0 && point <= 1 && exponent <= 1
}

// cut splits a text at the first such part.
func (f *frame) cut(text, part any) (before, after string, found bool) {
	s, p := f.str(text), f.str(part)
	f.step((len(s) + len(p)) / 8)
	return strings.Cut(s, p)
}

// words splits a text at what is no letter and no digit, and where a word in
// upper and lower case begins: dueDate, HTTPStatus.
func words(s string) []string {
	var out []string
	rs := []rune(s)
	from := 0
	add := func(to int) {
		if to > from {
			out = append(out, string(rs[from:to]))
		}
		from = to
	}
	for i, r := range rs {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			add(i)
			from = i + 1
		case i > from && unicode.IsUpper(r) && (!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])):
			add(i)
		}
	}
	add(len(rs))
	return out
}

func camel(words []string, first bool) string {
	var b strings.Builder
	for i, w := range words {
		if w = strings.ToLower(w); i > 0 || first {
			w = capitalize(w)
		}
		b.WriteString(w)
	}
	return b.String()
}

func titleCase(s string) string {
	var b strings.Builder
	inside := false
	for _, r := range s {
		if !inside {
			r = unicode.ToUpper(r)
		}
		inside = unicode.IsLetter(r) || unicode.IsDigit(r) || inside && r == '\''
		b.WriteRune(r)
	}
	return b.String()
}

// unaccented are the letters with accents of Latin-1 and Latin Extended-A,
// behind what they are without.
var unaccented = [...]string{
	"AÀÁÂÃÄÅĀĂĄ", "aàáâãäåāăą", "CÇĆĈĊČ", "cçćĉċč", "DÐĎĐ", "dðďđ", "EÈÉÊËĒĔĖĘĚ", "eèéêëēĕėęě", "GĜĞĠĢ", "gĝğġģ", "HĤĦ", "hĥħ",
	"IÌÍÎÏĨĪĬĮİ", "iìíîïĩīĭįı", "JĴ", "jĵ", "KĶ", "kķ", "LĹĻĽĿŁ", "lĺļľŀł", "NÑŃŅŇ", "nñńņň", "OÒÓÔÕÖØŌŎŐ", "oòóôõöøōŏő", "RŔŖŘ", "rŕŗř",
	"SŚŜŞŠȘ", "sśŝşšș", "TŢŤŦȚ", "tţťŧț", "UÙÚÛÜŨŪŬŮŰŲ", "uùúûüũūŭůűų", "WŴ", "wŵ", "YÝŶŸ", "yýÿŷ", "ZŹŻŽ", "zźżž",
}

func removeAccents(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0xc0 || r > 0x21b:
			if r < 0x300 || r > 0x36f { // no accent of its own
				b.WriteRune(r)
			}
		case r == 'ß':
			b.WriteString("ss")
		case r == 'Æ':
			b.WriteString("AE")
		case r == 'æ':
			b.WriteString("ae")
		case r == 'Œ':
			b.WriteString("OE")
		case r == 'œ':
			b.WriteString("oe")
		default:
			for _, letters := range unaccented {
				if strings.ContainsRune(letters, r) {
					r = rune(letters[0])
					break
				}
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

func stripTags(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := ">"
		switch c := s[1]; {
		case strings.HasPrefix(s, "<!--"):
			end = "-->"
		case c != '/' && c != '!' && c|0x20 < 'a' || c|0x20 > 'z':
			b.WriteByte('<') // no tag: 1 < 2
			s = s[1:]
			continue
		}
		k := strings.Index(s, end)
		if k < 0 {
			return b.String()
		}
		s = s[k+len(end):]
	}
}
