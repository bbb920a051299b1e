package httpjson

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/connectors/internal/charset"
	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/sdk"
)

func TestAppendCSV(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in        string
		separator byte
		want      string // "" for an error
	}{
		{"a,b\n1,x\n2,\"y, \"\"z\"\"\"\n", ',', `[{"a":"1","b":"x"},{"a":"2","b":"y, \"z\""}]`},
		{"a,b\r\n1,x\r\n\r\n2,\"two\r\nlines\"", ',', `[{"a":"1","b":"x"},{"a":"2","b":"two\r\nlines"}]`},
		{"a,b\n", ',', `[]`},
		{"", ',', `[]`},
		{"a,a,b\n1,2,3\n", ',', `[{"a":["1","2"],"b":"3"}]`},
		{"a\tb\n\"1\tx\"y\n", '\t', `[{"a":"\"1","b":"x\"y"}]`},
		{"a,b\n,\n", ',', `[{"a":"","b":""}]`},
		{"\"\",b\n\"\",\"\"", ',', `[{"":"","b":""}]`},
		{"a,b\n1\n", ',', ""},
		{"a,b\n1,2,3\n", ',', ""},
		{"a\n\"1", ',', ""},
		{"a\n\"1\"x", ',', ""},
		{strings.Repeat(",", maxColumns), ',', ""},
	} {
		got, err := AppendCSV(nil, []byte(tt.in), tt.separator, 1<<20)
		if tt.want == "" {
			if err == nil {
				t.Errorf("AppendCSV(%.40q) = %.80s, want an error", tt.in, got)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" || err != nil {
			t.Errorf("AppendCSV(%q): %v\n%s", tt.in, err, diff)
		}
	}
	// Long names times many rows are bounded.
	bomb := strings.Repeat("x", 1<<10) + "\n" + strings.Repeat("y\n", 10_000)
	if _, err := AppendCSV(nil, []byte(bomb), ',', 1<<20); sdk.KindOf(err) != sdk.TooLarge {
		t.Errorf("%v, want kind too_large", err)
	}
}

func TestAppendXML(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`<a/>`:                                       `{"a":""}`,
		`<a> x <!-- c --> y </a>`:                    `{"a":"x  y"}`,
		`<a b="1" c="&lt;">t<d/></a>`:                `{"a":{"@b":"1","@c":"<","d":"","#text":"t"}}`,
		`<a><b>1</b><c/><b>2</b><b k="v"/></a>`:      `{"a":{"b":["1","2",{"@k":"v"}],"c":""}}`,
		`<n:a xmlns:n="u" xmlns="v" n:x="1" x="2"/>`: `{"a":{"@x":"2"}}`,
		"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xfc</a>": `{"a":"ü"}`,
		`<a><![CDATA[<&>]]></a>`: `{"a":"<&>"}`,
	} {
		got, err := AppendXML(nil, []byte(in), charset.Reader)
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("AppendXML(%q): %v\n%s", in, err, diff)
		}
	}
	for _, bad := range []string{
		``, `text`, `<a>`, `<a></b>`, `<a/><b/>`, `<a/>x`, `<a>&unknown;</a>`, "<a>\xff</a>",
		`<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>`,
		strings.Repeat("<a>", 101) + strings.Repeat("</a>", 101),
		"<a>" + strings.Repeat("<b/>", maxXMLNodes) + "</a>",
		`<?xml version="1.0" encoding="klingon"?><a/>`,
	} {
		if got, err := AppendXML(nil, []byte(bad), charset.Reader); err == nil {
			t.Errorf("AppendXML(%.80q) = %.80s, want an error", bad, got)
		}
	}
	// Attributes and elements of many names cost no square of time.
	wide := &strings.Builder{}
	wide.WriteString("<r")
	for i := range 50_000 {
		wide.WriteString(" a" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + `="1"`)
	}
	wide.WriteString("/>")
	if _, err := AppendXML(nil, []byte(wide.String()), nil); err != nil {
		t.Error(err)
	}
}

// The expression function parseXml has the same mapping.
func TestAppendXMLAgreesWithParseXML(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`<a/>`, `<a> x </a>`, `<a b="1">t<d/>u</a>`, `<a><b>1</b><c/><b>2</b></a>`,
		`<n:a xmlns:n="u" n:x="1" y="2"><n:b/></n:a>`, `<r><i><j k="v">x</j><j/></i></r>`,
	} {
		got, err := AppendXML(nil, []byte(in), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := evaluate(t, "parseXml("+string(mustJSON(t, in))+")")
		if diff := cmp.Diff(anyOf(t, want), anyOf(t, got)); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func anyOf(t testing.TB, doc []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}

// The standard library is the oracle of rows.
func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,2\n")
	f.Add("a,\"b\"\r\n\"x\ny\",\"\"\"\"\r\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := AppendCSV(nil, []byte(s), ',', 1<<20)
		rows, want := csv.NewReader(strings.NewReader(s)).ReadAll()
		if err != nil {
			if want == nil {
				t.Fatalf("AppendCSV(%q): %v, the standard library takes it", s, err)
			}
			return
		}
		if !json.Valid(got) {
			t.Fatalf("AppendCSV(%q) = %q", s, got)
		}
		if want != nil || len(rows) == 0 {
			return // quotes in the middle of a field are text here
		}
		var n []json.RawMessage
		if err := json.Unmarshal(got, &n); err != nil || len(n) != len(rows)-1 {
			t.Fatalf("AppendCSV(%q) = %s, %v, want %d rows", s, got, err, len(rows)-1)
		}
	})
}

func FuzzXML(f *testing.F) {
	f.Add([]byte(`<a b="1">t<d/><d/></a>`))
	f.Add([]byte("<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := AppendXML(nil, b, charset.Reader)
		if err == nil && (!json.Valid(got) || !bytes.HasPrefix(got, []byte("{"))) {
			t.Fatalf("AppendXML(%q) = %q", b, got)
		}
		var e *sdk.Error
		if errors.As(err, &e) {
			t.Fatalf("AppendXML(%q): %v has a kind", b, err)
		}
	})
}

// evaluate gives the value of an expression as JSON.
func evaluate(t testing.TB, src string) []byte {
	t.Helper()
	tpl, problems := expr.Text("${{ "+src+" }}", expr.NewScope())
	if len(problems) > 0 {
		t.Fatalf("%s: %+v", src, problems)
	}
	out, err := tpl.AppendJSON(nil, &expr.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
