package expr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A document that two readers could take for different values is told where it
// is so, and has one plain form: what paths read.
func TestUniqueJSON(t *testing.T) {
	t.Parallel()
	many := `{` + strings.Repeat(`"x%d":0,`, 40) + `"y":1}`
	n := make([]any, 40)
	for i := range n {
		n[i] = i
	}
	many = fmt.Sprintf(many, n...)
	for doc, want := range map[string][2]string{
		`{"a":1,"a":2}`:                             {`json: the name "a" for the second time at offset 7`, `{"a":2}`},
		`{"a":{"a":1},"b":{"a":2}}`:                 {``, ``},
		` { "a" : 1 } `:                             {``, ``},
		`{"o":{"k":1,"\u006b":[2]}, "z": 1}`:        {`json: the name "k" for the second time at offset 12`, `{"o":{"\u006b":[2]},"z":1}`},
		`[{"a":1},{"a":1,"b":2,"a":{"c":1,"c":2}}]`: {`json: the name "a" for the second time at offset 22`, `[{"a":1},{"b":2,"a":{"c":2}}]`},
		`"\ud800"`:              {`json: half of a surrogate pair in a text at offset 0`, "\"\ufffd\""},
		`["\ud83d\ude00"]`:      {``, ``},
		`["\ude00\ud83d", "a"]`: {`json: half of a surrogate pair in a text at offset 1`, "[\"\ufffd\ufffd\",\"a\"]"},
		`{"\ud800":1}`:          {`json: half of a surrogate pair in a text at offset 1`, "{\"\ufffd\":1}"},
		`"\\ud800"`:             {``, ``},
		many:                    {``, ``},
		many[:len(many)-1] + `,"x3":9}`: {
			fmt.Sprintf(`json: the name "x3" for the second time at offset %d`, len(many)), strings.Replace(many, `"x3":0,`, ``, 1)[:len(many)-8] + `,"x3":9}`,
		},
		`{"a":1,"a":`: {`json: the document ends too early, at offset 11: a value is expected`, `-`},
		`12`:          {``, ``},
	} {
		got := ""
		if err := CheckUniqueJSON([]byte(doc), 0); err != nil {
			got = err.Error()
		}
		if got != want[0] {
			t.Errorf("%s: %q, want %q", doc, got, want[0])
		}
		if want[1] == "-" {
			continue
		}
		plain := PlainJSON([]byte(doc))
		switch b := []byte(doc); {
		case want[1] != "" && string(plain) != want[1]:
			t.Errorf("%s: its plain form is %s, want %s", doc, plain, want[1])
		case want[1] == "" && &PlainJSON(b)[0] != &b[0]:
			t.Errorf("%s was copied", doc)
		}
	}
	if got := PlainJSON(nil); len(got) != 0 {
		t.Errorf("nothing becomes %q", got)
	}
}

// Text that can be read in two ways is refused where it is read.
func TestAmbiguousTextIsRefused(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`fromJSON('{"a":1,"a":2}')`:             `1:1: "{\"a\":1,\"a\":2}" isn't JSON: the name "a" for the second time at offset 7`,
		`fromJSON('["\\ud800"]')`:               `1:1: "[\"\\ud800\"]" isn't JSON: half of a surrogate pair in a text at offset 1`,
		`parseCsv("a,a\n1,2")`:                  `1:1: the CSV has two columns "a"; parseCsvRows reads it by position`,
		`isJson('{"a":1,"a":2}')`:               `false`,
		`isJson('{"a":1,"b":{"a":2}}')`:         `true`,
		`fromJSON('{"a":1,"b":{"a":2}}')`:       `{"a":1,"b":{"a":2}}`,
		`parseCsv("a,b\n1,2")`:                  `[{"a":"1","b":"2"}]`,
		`jwtPayload("e30.eyJhIjoxLCJhIjoyfQ.")`: `1:1: "e30.eyJhIjoxLCJhIjoyfQ." isn't a JSON web token`,
	} {
		e, problems := Expr(src, nil)
		got := ""
		if e == nil {
			got = problems[0].String()
		} else {
			out, _ := e.AppendJSON(nil, newEnv())
			got = string(out)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
	}
	if _, err := ParseSchema([]byte(`{"type":"string","type":"integer"}`)); err == nil {
		t.Error("a schema with two types of one name is read")
	}
}

// FuzzPlainJSON: the plain form is read alike by encoding/json, which takes the
// last of two members too, and is plain itself.
func FuzzPlainJSON(f *testing.F) {
	for _, s := range []string{`{"a":1,"a":{"b":[{"c":1,"c":2}]}}`, `["\ud800\udc00\ud800",{"\u0061":1,"a":2}]`, event, ` [ ] `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if CheckJSON(doc, 0) != nil {
			return
		}
		plain := PlainJSON(doc)
		if err := CheckUniqueJSON(plain, 0); err != nil {
			t.Fatalf("%q becomes %q: %v", doc, plain, err)
		}
		decode := func(b []byte) (v any) {
			d := json.NewDecoder(bytes.NewReader(b))
			d.UseNumber()
			_ = d.Decode(&v)
			return v
		}
		if CheckUniqueJSON(doc, 0) == nil && !bytes.Equal(doc, plain) {
			t.Fatalf("%q becomes %q", doc, plain)
		}
		// encoding/json merges the objects of two members of one name into one
		// only for structs and maps that are there already: into any it doesn't.
		if diff := cmp.Diff(decode(doc), decode(plain)); diff != "" {
			t.Fatalf("%q becomes %q: %s", doc, plain, diff)
		}
	})
}
