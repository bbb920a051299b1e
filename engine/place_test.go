package engine

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

func TestPut(t *testing.T) {
	t.Parallel()
	in := sdk.Fields{
		{Name: "q", Value: json.RawMessage(` {"a": 1.50, "b":{"c":[1]}, "a": 12345678901234567890} `)},
		{Name: "n", Value: json.RawMessage("null")},
		{Name: "t", Value: json.RawMessage(`"text"`)},
	}
	for path, want := range map[string]string{
		"q.x":     `{"q":{"a":1.50,"b":{"c":[1]},"a":12345678901234567890,"x":7},"n":null,"t":"text"}`,
		"q.a":     `{"q":{"a":1.50,"b":{"c":[1]},"a":7},"n":null,"t":"text"}`, // the last one counts
		"q.b.c":   `{"q":{"a":1.50,"b":{"c":7},"a":12345678901234567890},"n":null,"t":"text"}`,
		"n.x.y":   `{"q": {"a": 1.50, "b":{"c":[1]}, "a": 12345678901234567890} ,"n":{"x":{"y":7}},"t":"text"}`,
		"new":     `{"q": {"a": 1.50, "b":{"c":[1]}, "a": 12345678901234567890} ,"n":null,"t":"text","new":7}`,
		"t.x":     `"t" must be an object: it is "text"`,
		"q.b.c.d": `"c" must be an object: it is [1]`,
	} {
		out, err := put(in, strings.Split(path, "."), json.RawMessage("7"))
		got := string(out.JSON())
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := string(in.JSON()); strings.Contains(got, "7}") {
		t.Errorf("the input was changed: %s", got)
	}
}

// What was put is there, nothing else has changed, and all stays JSON.
func FuzzPut(f *testing.F) {
	f.Add(`{"a":{"b":1},"c":[1,2]}`, "a.b")
	f.Add(`{"a":null,"a":{"b":"\\u00e9"}}`, "a.b.c")
	f.Add(`{"":{"x":1e5}}`, ".x")
	f.Fuzz(func(t *testing.T, doc, at string) {
		fields, err := members(json.RawMessage(doc))
		if err != nil || !json.Valid([]byte(doc)) || !utf8.ValidString(at) { // as those of documents are
			return
		}
		path := strings.Split(at, ".")
		out, err := put(fields, path, json.RawMessage(`"put"`))
		if err != nil {
			return
		}
		if !json.Valid(out.JSON()) {
			t.Fatalf("%s isn't JSON", out.JSON())
		}
		if got := lookup(out, path); string(got) != `"put"` {
			t.Fatalf("%s holds %s at %s", out.JSON(), got, at)
		}
	})
}

// The number of a list's items is what encoding/json reads.
func FuzzCount(f *testing.F) {
	for _, s := range []string{``, `1`, `[1,2],{"a":[3,4]}`, `"a,\"]",null`, `[[],[]] , {}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inside string) {
		var list []json.RawMessage
		if json.Unmarshal([]byte("["+inside+"]"), &list) != nil {
			return
		}
		if got := count([]byte(strings.TrimSpace(inside))); got != len(list) {
			t.Fatalf("[%s] has %d items, counted %d", inside, len(list), got)
		}
	})
}

func BenchmarkCount(b *testing.B) {
	inside := []byte(strings.TrimSuffix(strings.Repeat(`{"id":12,"title":"Plant the apple tree","tags":["a","b"]},`, 10_000), ","))
	b.SetBytes(int64(len(inside)))
	b.ReportAllocs()
	for b.Loop() {
		if count(inside) != 10_000 {
			b.Fatal("miscounted")
		}
	}
}
