package expr

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

func formatFunctions() []function {
	const group = "formats"
	str := StringType()
	text := req("text", str)
	return []function{
		{
			name: "toJSON", group: group, params: []param{req("value", Any()), opt("indent", Int())}, returns: "string", result: gives(str),
			doc:      "The value as JSON, names sorted, without spaces, or on lines of their own that are indented by so many spaces.",
			examples: []Example{{`toJSON({b: 1, a: [true]})`, `"{\"a\":[true],\"b\":1}"`}, {`toJSON({a: 1}, 2)`, `"{\n  \"a\": 1\n}"`}},
			do:       toJSON,
		},
		{
			name: "fromJSON", group: group, params: []param{text}, returns: "any", result: gives(Any()),
			doc: "The value of a JSON text. A name that an object has twice is an error.", examples: []Example{{`fromJSON("{\"a\": [1]}").a`, `[1]`}, {`fromJSON("12345678901234567890")`, `12345678901234567890`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(256 + len(s))
				f.step(len(s) / 4)
				doc := []byte(s)
				if err := CheckUniqueJSON(doc, maxValueDepth); err != nil {
					f.fail("%s isn't JSON: %s", clip(s), strings.TrimPrefix(err.Error(), "json: "))
				}
				return NewRaw(doc)
			},
		},
		{
			name: "isJson", group: group, params: []param{text}, returns: "boolean", result: gives(Bool()),
			doc: "True when fromJSON() reads the text.", examples: []Example{{`isJson("[1]")`, `true`}, {`isJson("[1")`, `false`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(256 + len(s))
				f.step(len(s) / 4)
				return CheckUniqueJSON([]byte(s), maxValueDepth) == nil
			},
		},
		{
			name: "parseCsv", group: group, params: []param{text, opt("separator", str)}, returns: "list(object)",
			result: gives(ListOf(ObjectOf(nil, str))),
			doc:    "The rows of a CSV text as objects, the first row being the names, none of which may stand twice.",
			examples: []Example{
				{`parseCsv("a,b\n1,\"2,3\"\n")`, `[{"a":"1","b":"2,3"}]`}, {`parseCsv("a;b\n1;2", ";")`, `[{"a":"1","b":"2"}]`},
			},
			do: parseCSV,
		},
		{
			name: "parseCsvRows", group: group, params: []param{text, opt("separator", str)}, returns: "list(list(string))",
			result: gives(ListOf(ListOf(str))),
			doc:    "The rows of a CSV text as lists, which may differ in length.",
			examples: []Example{
				{`parseCsvRows("a,b\n1")`, `[["a","b"],["1"]]`}, {`parseCsvRows("a\tb", "\t")`, `[["a","b"]]`},
			},
			do: func(f *frame, a []any) any {
				r := f.csvReader(a)
				r.FieldsPerRecord = -1
				out := []any{}
				for {
					row, err := r.Read()
					if errors.Is(err, io.EOF) {
						return out
					}
					if err != nil {
						f.fail("the text isn't CSV: %v", err)
					}
					f.step(2 * len(row))
					f.alloc(64 + 32*len(row))
					items := make([]any, len(row))
					for i, cell := range row {
						items[i] = cell
					}
					out = append(out, items)
				}
			},
		},
		{
			name: "formatCsv", group: group, params: []param{req("rows", anyList()), opt("names", ListOf(str)), opt("separator", str)}, returns: "string", result: gives(str),
			doc: "CSV of a list of objects, with a row of names first (those of the first object, sorted, unless given; others may not have more), or of a list of lists. A null is an empty cell.",
			examples: []Example{
				{`formatCsv([{a: 1, b: "x,y"}, {a: 2}])`, `"a,b\n1,\"x,y\"\n2,\n"`},
				{`formatCsv([{a: 1, b: 2}], ["b"], ";")`, `"b\n2\n"`},
				{`formatCsv([["a", 1]])`, `"a,1\n"`},
			},
			do: formatCSV,
		},
		{
			name: "parseXml", group: group, params: []param{text}, returns: "object", result: gives(anyObject()),
			doc: "The value of an XML text: an element is an object of its attributes, as @name, its elements, and its text, as #text; one with text alone is that text; several of one name are a list. Prefixes of names are left out.",
			examples: []Example{
				{`parseXml("<a id='1'><b>x</b><b>y</b></a>")`, `{"a":{"@id":"1","b":["x","y"]}}`},
				{`parseXml("<o><n>Ada &amp; co</n><e/></o>").o.n`, `"Ada & co"`},
				{`asList(parseXml("<l><i>1</i></l>").l.i)`, `["1"]`},
			},
			do: parseXML,
		},
		{
			name: "secret", group: "secrets", varies: true, params: []param{req("name", str)}, returns: "secret", result: gives(SecretType()),
			doc: "A reference to a secret, to be given whole to a field that takes one. It never becomes text.",
			// A secret has no JSON; what it may not be used for is in the tests.
			do: func(f *frame, a []any) any { return Secret{Name: f.str(a[0])} },
		},
	}
}

func toJSON(f *frame, a []any) any {
	if r, ok := a[0].(*Raw); ok {
		f.alloc(len(r.b))
	}
	out := f.appendJSON(nil, a[0], 0)
	if len(a) < 2 {
		return string(out)
	}
	n := f.int(a[1])
	if n < 0 || n > 8 {
		f.fail("lines are indented by 0 to 8 spaces, not %d", n)
	}
	// Each line begins at a comma or a bracket, and how deep it is is bounded.
	deep, depth, lines := 0, 0, 1
	for _, c := range out {
		switch c {
		case '{', '[':
			depth++
			deep = max(deep, depth)
			lines += 2
		case '}', ']':
			depth--
		case ',':
			lines++
		}
	}
	f.step(len(out) / 4)
	f.product(lines, 2+n*min(deep, maxValueDepth))
	var b bytes.Buffer
	if err := json.Indent(&b, out, "", strings.Repeat(" ", n)); err != nil {
		f.fail("the value can't be written out: %v", err)
	}
	return b.String()
}

// csvBuffer is what a reader and a writer of CSV take, in bytes.
const csvBuffer = 5 << 10

// csvReader reads the text a[0] with the separator a[1], if there is one, and
// charges for it.
func (f *frame) csvReader(a []any) *csv.Reader {
	s := f.str(a[0])
	r := csv.NewReader(strings.NewReader(s))
	if len(a) > 1 {
		r.Comma = f.separator(a[1])
	}
	f.step(len(s))
	// A cell takes a text and two indexes, however short it is.
	f.alloc(csvBuffer + 4*len(s) + 32*strings.Count(s, string(r.Comma)))
	return r
}

func (f *frame) separator(v any) rune {
	s := f.str(v)
	sep, n := utf8.DecodeRuneInString(s)
	if n == 0 || n != len(s) || strings.ContainsRune("\"\r\n\ufffd", sep) {
		f.fail("the separator must be one character, not %s", clip(s))
	}
	return sep
}

func parseCSV(f *frame, a []any) any {
	r := f.csvReader(a)
	names, err := r.Read()
	for i, n := range names {
		f.step(1 + i/4)
		if slices.Contains(names[:i], n) {
			f.fail("the CSV has two columns %s; parseCsvRows reads it by position", clip(n))
		}
	}
	out := []any{}
	for err == nil {
		var row []string
		if row, err = r.Read(); err != nil {
			break
		}
		f.step(2 * len(names))
		f.alloc(64 + 80*len(names))
		m := make(map[string]any, len(names))
		for i, n := range names {
			m[n] = row[i]
		}
		out = append(out, m)
	}
	if !errors.Is(err, io.EOF) {
		f.fail("the text isn't CSV: %v", err)
	}
	return out
}

func formatCSV(f *frame, a []any) any {
	rows := f.list(a[0])
	var names []string
	if len(a) > 1 {
		for _, n := range f.list(a[1]) {
			names = append(names, f.str(n))
		}
	}
	f.alloc(csvBuffer)
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if len(a) > 2 {
		w.Comma = f.separator(a[2])
	}
	write := func(row []string) {
		size := 16
		for _, cell := range row {
			size += 8 + 2*len(cell)
		}
		f.alloc(size)
		f.step(size / 4)
		if err := w.Write(row); err != nil {
			f.fail("a row can't be written as CSV: %v", err)
		}
	}
	cell := func(v any) string {
		if v == nil {
			return ""
		}
		return f.text(v)
	}
	for i, row := range rows {
		switch x := f.force(row).(type) {
		case []any:
			cells := make([]string, len(x))
			for k, v := range x {
				cells[k] = cell(v)
			}
			write(cells)
		case map[string]any, Members:
			m := f.object(x)
			if i == 0 {
				if len(a) < 2 {
					names = f.sortedKeys(m)
				}
				write(slices.Clone(names))
			}
			cells := make([]string, len(names))
			found := 0
			for k, n := range names {
				v, ok := m[n]
				if cells[k] = cell(v); ok {
					found++
				}
			}
			if len(a) < 2 && found < len(m) {
				for _, n := range f.sortedKeys(m) {
					if !slices.Contains(names, n) {
						f.fail("row %d has %s, which the first row lacks; give the names, as a second argument", i+1, clip(n))
					}
				}
			}
			write(cells)
		default:
			f.fail("a row must be an object or a list, got %s", kindName(row))
		}
	}
	w.Flush()
	return b.String()
}

// element is an XML element that is being read.
type element struct {
	name    string
	members map[string]any
	text    strings.Builder
}

const (
	maxXMLDepth = 100
	xmlText     = "#text"
)

func parseXML(f *frame, a []any) any {
	s := f.str(a[0])
	f.step(len(s))
	f.alloc(4*len(s) + 64*strings.Count(s, "="))
	d := xml.NewDecoder(strings.NewReader(s))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) {
		return nil, errors.New("only UTF-8 is known")
	}
	root := &element{members: map[string]any{}}
	open := []*element{root}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.fail("the text isn't XML: %v", err)
		}
		top := open[len(open)-1]
		switch t := t.(type) {
		case xml.StartElement:
			if len(open) > maxXMLDepth {
				f.exceeded("the XML is nested too deeply")
			}
			f.alloc(200 + 80*len(t.Attr))
			e := &element{name: t.Name.Local, members: map[string]any{}}
			for _, x := range t.Attr {
				if x.Name.Space != "xmlns" && x.Name.Local != "xmlns" {
					e.members["@"+x.Name.Local] = x.Value
				}
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
			f.alloc(80)
			open[len(open)-1].add(top.name, top.value())
		case xml.CharData:
			top.text.Write(t)
		}
	}
	one := len(root.members) == 1
	for _, v := range root.members {
		_, several := v.([]any)
		one = one && !several
	}
	if !one || strings.TrimSpace(root.text.String()) != "" {
		f.fail("the text isn't XML: it must have one element around all others")
	}
	return root.members
}

// add gives an element a member, and makes a list of several of one name.
func (e *element) add(name string, v any) {
	old, twice := e.members[name]
	if !twice {
		e.members[name] = v
		return
	}
	// An element's value is a text or an object, never a list.
	if l, ok := old.([]any); ok {
		e.members[name] = append(l, v)
		return
	}
	e.members[name] = []any{old, v}
}

func (e *element) value() any {
	text := strings.TrimSpace(e.text.String())
	if len(e.members) == 0 {
		return text
	}
	if text != "" {
		e.members[xmlText] = text
	}
	return e.members
}
