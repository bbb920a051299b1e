package rawjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":0`, i)
	}
	list := strings.Join(many, ",")
	for doc, offset := range map[string]int{
		`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}`: -1,
		`{"a":1,"A":2,"":3}`:                        -1,
		`{"a":1,"a":2}`:                             7,
		`{"x":{"a":1,"\u0061":2}}`:                  12,
		`[{"":1,"":2}]`:                             7,
		`{` + list + `}`:                            -1,
		`{` + list + `,"k3":1}`:                     len(list) + 2,
		`{` + list + `,"k39":1}`:                    len(list) + 2,
	} {
		err := CheckUnique([]byte(doc), 0)
		var e *SyntaxError
		switch {
		case offset < 0 && err != nil:
			t.Errorf("%s: %v", doc, err)
		case offset >= 0:
			e, _ = err.(*SyntaxError) //nolint:errorlint // it is the package's own
			if e == nil || e.Offset != offset || !strings.Contains(e.Reason, "twice") {
				t.Errorf("%s: %v, want the name at byte %d", doc, err, offset)
			}
		}
		if err := Check([]byte(doc), 0); err != nil {
			t.Errorf("Check(%s) = %v", doc, err)
		}
	}
}

// The oracle: a document with unique names has as many of them as Go's decoder
// finds members in its maps.
func FuzzCheckUnique(f *testing.F) {
	for _, s := range []string{`{"a":1,"a":2}`, `{"a":{"b":1},"b":[{"a":1,"\u0061":2}]}`, `{"\ud800":1,"\ud801":2}`, `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"a":0}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if Check(b, 0) != nil {
			return
		}
		members := 0
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		var walk func() // over tokens
		walk = func() {
			tok, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			switch tok {
			case json.Delim('{'):
				for d.More() {
					if _, err := d.Token(); err != nil {
						t.Fatal(err)
					}
					members++
					walk()
				}
			case json.Delim('['):
				for d.More() {
					walk()
				}
			default:
				return
			}
			if _, err := d.Token(); err != nil {
				t.Fatal(err)
			}
		}
		walk()
		// Counted again in a tree whose maps keep one member of a name.
		var tree any
		u := json.NewDecoder(strings.NewReader(string(b)))
		u.UseNumber()
		if err := u.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		kept := 0
		var count func(v any)
		count = func(v any) {
			switch v := v.(type) {
			case map[string]any:
				for _, x := range v {
					kept++
					count(x)
				}
			case []any:
				for _, x := range v {
					count(x)
				}
			}
		}
		count(tree)
		if got, want := CheckUnique(b, 0) == nil, kept == members; got != want {
			t.Fatalf("CheckUnique(%q) accepts: %v; %d members, %d of them different", b, got, members, kept)
		}
	})
}

func BenchmarkCheckUnique300(b *testing.B) {
	doc := []byte(`{"event":"task.completed","task":{"id":"T-1042","title":"Ship it","assignee":{"name":"Zoë","email":"zoe@example.com"},"tags":["a","b","c"],"due":null,"done":true},"project":{"id":77,"name":"Tappet"},"at":"2026-11-24T00:00:00Z","note":"` + strings.Repeat("x", 40) + `"}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckUnique(doc, 0); err != nil {
			b.Fatal(err)
		}
	}
}
