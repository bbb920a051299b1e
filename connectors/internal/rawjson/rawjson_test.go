package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in     string
		offset int // of the first wrong byte; -1: it is right
	}{
		{`{"a":[1,-0.5e+3,true,false,null,"x\n\u00e9ü"]}`, -1},
		{" 7 ", -1},
		{"", 0},
		{"{", 1},
		{`{"a"}`, 4},
		{`{"a":1,}`, 7},
		{`[1,]`, 3},
		{`[1 2]`, 3},
		{`01`, 1},
		{`-`, 1},
		{`1.`, 2},
		{`1e`, 2},
		{`tru`, 0},
		{`"\x"`, 1},
		{`"\u12g4"`, 1},
		{"\"a\nb\"", 2},
		{"\"a\xff\"", 2},
		{`"abc`, 4},
		{`{} {}`, 3},
		{`{a:1}`, 1},
		{strings.Repeat("[", 160) + strings.Repeat("]", 160), -1},
		{strings.Repeat("[", 161) + strings.Repeat("]", 161), 160},
	} {
		got := -1
		if err := Check([]byte(tt.in), 0); err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) {
				t.Fatalf("Check(%.40q) = %T, want *SyntaxError", tt.in, err)
			}
			got = e.Offset
		}
		if got != tt.offset {
			t.Errorf("Check(%.40q) fails at %d, want %d", tt.in, got, tt.offset)
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	var got []string
	err := Members([]byte(` { "a" : [1, {"b":2}] , "\u0063":"x" } `), func(name, value []byte) error {
		got = append(got, string(name)+"="+string(value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`"a"=[1, {"b":2}]`, `"\u0063"="x"`}, got); diff != "" {
		t.Error(diff)
	}
	stop := errors.New("stop")
	if err := Members([]byte(`{"a":1,"b":2}`), func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Members = %v, want the error of its function", err)
	}
	for _, bad := range []string{``, `[]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1 "b"`, `{1:2}`} {
		if err := Members([]byte(bad), func(_, _ []byte) error { return nil }); err == nil {
			t.Errorf("Members(%q) took it", bad)
		}
	}
}

func TestAppendWithoutNulls(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":null}`:                                  `{}`,
		`{"a":null,"b":1,"c":null,"d":null}`:          `{"b":1}`,
		`{"a": {"b": null, "c": [null, {"d":null}]}}`: `{"a":{"c":[null,{}]}}`,
		`{"a":"","b":0,"c":false,"d":[],"e":{}}`:      `{"a":"","b":0,"c":false,"d":[],"e":{}}`,
		`null`:                                        `null`,
		`[null,1]`:                                    `[null,1]`,
		`12345678901234567890`:                        `12345678901234567890`,
		`{"n":1.10,"s":"\u0041"}`:                     `{"n":1.10,"s":"\u0041"}`,
	} {
		got, err := AppendWithoutNulls(nil, []byte(in))
		if err != nil || string(got) != want {
			t.Errorf("AppendWithoutNulls(%s) = %s, %v, want %s", in, got, err, want)
		}
	}
}

// The standard library is the oracle of what JSON is.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}]}`, `"\ud800x"`, `-1.5e9`, ` [ ] `, `{"a":1,}`, "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := Check(b, 1_000)
		if got, want := err == nil, json.Valid(b) && utf8.Valid(b); got != want && !deep(err) {
			t.Fatalf("Check(%q) = %v, json.Valid && utf8.Valid = %v", b, err, want)
		}
		if pruned, err := AppendWithoutNulls(nil, b); err == nil && !json.Valid(pruned) {
			t.Fatalf("AppendWithoutNulls(%q) = %q", b, pruned)
		}
		if s, ok := Unquote(b); ok {
			var want string
			if err := json.Unmarshal(b, &want); err != nil || s != want {
				t.Fatalf("Unquote(%q) = %q, json gives %q, %v", b, s, want, err)
			}
		}
		var back string
		if err := json.Unmarshal(AppendString(nil, b), &back); err != nil || back != strings.ToValidUTF8(string(b), "\ufffd") && utf8.Valid(b) {
			t.Fatalf("AppendString(%q) reads back as %q, %v", b, back, err)
		}
		none := func(_, _ []byte) error { return nil }
		if err := Members(b, none); err == nil && bytes.IndexByte(b, '{') < 0 {
			t.Fatalf("Members took %q", b)
		}
	})
}

func deep(err error) bool { return err != nil && strings.Contains(err.Error(), "too deep") }

func BenchmarkCheck300(b *testing.B) {
	doc := []byte(`{"event":"task.completed","task":{"id":"T-1042","title":"Ship the \"thing\"","assignee":{"name":"Zoë","email":"zoe@example.com"},"tags":["a","b","c"],"estimate":3.5,"due":null,"done":true},"project":{"id":77,"name":"Tappet"},"at":"2026-11-24T00:00:00Z","note":"` + strings.Repeat("x", 40) + `"}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(doc, 0); err != nil {
			b.Fatal(err)
		}
	}
}
