package httpjson

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

func TestAppendHeader(t *testing.T) {
	t.Parallel()
	many := sdk.Header{}
	want := []string{}
	for i := range 100 {
		many.Add(fmt.Sprintf("X-%d", i), "a")
		want = append(want, fmt.Sprintf(`"x-%d":"a, b"`, i))
	}
	for i := range 100 {
		many.Add(fmt.Sprintf("x-%d", i), "b")
	}
	for _, tt := range []struct {
		name string
		h    sdk.Header
		want string
	}{
		{"none", nil, `{}`},
		{"repeated", sdk.Header{{Name: "X-A", Value: "1"}, {Name: "B", Value: "q\"\n"}, {Name: "x-a", Value: "2"}, {Name: "X-A", Value: "3"}}, `{"x-a":"1, 2, 3","b":"q\"\n"}`},
		{"skipped", sdk.Header{{Name: "Cookie", Value: "1"}, {Name: "B", Value: "2"}, {Name: "cookie", Value: "3"}}, `{"b":"2"}`},
		{"strange name", sdk.Header{{Name: `A"B`, Value: "\xff"}}, "{\"a\\\"b\":\"\ufffd\"}"},
		{"many", many, "{" + strings.Join(want, ",") + "}"},
	} {
		got := AppendHeader(nil, tt.h, func(n string) bool { return strings.EqualFold(n, "cookie") })
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestAppendForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                  `{}`,
		"a=1&b=2":           `{"a":"1","b":"2"}`,
		"a=1&b=2&a=3":       `{"a":["1","3"],"b":"2"}`,
		"a&&=x&":            `{"a":"","":"x"}`,
		"a=b=c&x+y=%C3%BC+": `{"a":"b=c","x y":"ü "}`,
	} {
		got, err := AppendForm(nil, in)
		if err != nil || string(got) != want {
			t.Errorf("AppendForm(%q) = %s, %v, want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{"a=%", "a=%2", "%zz=1", strings.Repeat("a&", MaxPairs+1)} {
		if _, err := AppendForm(nil, bad); err == nil {
			t.Errorf("AppendForm(%.20q) took it", bad)
		}
	}
}

func TestMediaType(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"":                 {"", ""},
		"Application/JSON": {"application/json", ""},
		`text/html ; boundary=x; Charset="UTF-8"`: {"text/html", "utf-8"},
		"text/plain;charset=iso-8859-1;":          {"text/plain", "iso-8859-1"},
	} {
		media, charset := MediaType(in)
		if got := [2]string{media, charset}; got != want {
			t.Errorf("MediaType(%q) = %q, want %q", in, got, want)
		}
	}
}

// The standard library is the oracle of escaping.
func FuzzForm(f *testing.F) {
	f.Add("a=1&b=%20&a=+&c")
	f.Add("%zz&=")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := AppendForm(nil, s)
		if err == nil && !json.Valid(got) {
			t.Fatalf("AppendForm(%q) = %q", s, got)
		}
		if back, err := url.QueryUnescape(string(AppendQueryEscaped(nil, s))); err != nil || back != s {
			t.Fatalf("query: %q comes back as %q, %v", s, back, err)
		}
		if back, err := url.QueryUnescape(string(AppendFormEscaped(nil, s))); err != nil || back != s {
			t.Fatalf("form: %q comes back as %q, %v", s, back, err)
		}
		MediaType(s)
	})
}
