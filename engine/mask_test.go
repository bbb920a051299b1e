package engine

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func maskOf(secrets ...string) *mask {
	m := &mask{}
	for _, s := range secrets {
		m.add(s)
	}
	return m
}

// A secret is hidden however it is written; what only looks like it stays.
func TestMaskedText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ secret, in, want string }{
		{"s3cr", "a s3cr b s3crs3cr", "a *** b ******"},
		{"a+b c", "?x=a%2Bb%20c&y=a%2bb+c&z=a+b c", "?x=***&y=***&z=***"},
		{"a+b c", "/a+b%20c/", "/***/"},
		{"a/b?", "/a%2Fb%3F /a/b%3f", "/*** /***"},
		{"100%25", "100%25 100%2525", "*** ***25"},
		{`q"\é`, `{"k":"q\"\\\u00e9"} q"\é`, `{"k":"***"} ***`},
		{"\U0001f600key", `\ud83d\ude00key \u0073`, `*** \u0073`},
		{"tab\tnl\n", `tab\tnl\n`, `***`},
		{"Bearer abcdefgh", "Authorization: Bearer abcdefgh; abcdefgh Bearer", "Authorization: ***; *** Bearer"},
		{"Basic abc", "Basic abc; abc", "***; abc"},
		{"longer", "longe r %6c%6F%6e%67%65%72", "longe r ***"},
		{"key%", "key%", "***"},
		{"%zz%4", "%zz%4", "***"},
		{`\u12`, `\u12`, "***"},
	} {
		if got := maskOf(c.secret).text(c.in); got != c.want {
			t.Errorf("%q in %q gives %q, want %q", c.secret, c.in, got, c.want)
		}
	}
	if got := maskOf("abcd", "abcdefgh").text("abcdefgh abcd"); got != "*** ***" {
		t.Errorf("the longer secret shows its end: %q", got)
	}
	if got := new(mask).text("a %41 text"); got != "a %41 text" {
		t.Errorf("an empty mask gives %q", got)
	}
}

func TestMaskedJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ secret, in, want string }{
		{"s3cr", `{"a":"s3cr","s3cr":[1, "x s3cr",null,true],"b":1.50}`, `{"a":"***","***":[1, "x ***",null,true],"b":1.50}`},
		{"s3cr", `{"b":"s\u0033cr","c":"\"s3cr\\"}`, `{"b":"***","c":"\"***\\"}`},
		{"47112", `[47112,{"n":-47112.5},1471120e1, 4711]`, `["***",{"n":"-***.5"},"1***0e1", 4711]`},
		{"a b&c", `"{\"url\":\"?x=a%20b%26c\"}"`, `"{\"url\":\"?x=***\"}"`},
		{"true", `[true,"true"]`, `[true,"***"]`},
		{"s3cr", `null`, `null`},
	} {
		if got := string(maskOf(c.secret).json(json.RawMessage(c.in))); got != c.want {
			t.Errorf("%q in %s gives %s, want %s", c.secret, c.in, got, c.want)
		}
	}
	if got := maskOf("s3cr").json(nil); got != nil {
		t.Errorf("no document gives %s", got)
	}
}

func TestMaskedRecords(t *testing.T) {
	t.Parallel()
	m := maskOf("s3cret/1")
	x := Exchange{URL: "https://h/?k=s3cret%2F1", Redirects: []string{"https://h/s3cret/1"}, Error: "GET s3cret/1"}
	m.exchange(&x)
	if got := x.URL + " " + x.Redirects[0] + " " + x.Error; got != "https://h/?k=*** https://h/*** GET ***" {
		t.Error(got)
	}
	for _, v := range []any{"x s3cret/1", []string{"s3cret/1"}, json.RawMessage(`"s3cret/1"`), struct{ K string }{"s3cret/1"}, &url.Error{Op: "s3cret/1", Err: errors.New("no")}} {
		if s, ok := m.value(v).(string); !ok || strings.Contains(s, "s3cret") {
			t.Errorf("%v is logged as %v", v, m.value(v))
		}
	}
	if v := m.value(time.Second); v != time.Second {
		t.Errorf("a duration is logged as %v", v)
	}
}

// Whatever a secret is, it isn't in what its mask lets through, and JSON stays
// JSON.
func FuzzMask(f *testing.F) {
	f.Add("s3cret", "a", "b")
	f.Add(`q"\é %+`, "%2", "\\u00")
	f.Add("****", "*", "*")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < leastSecret || strings.Contains(masked+masked+masked+masked, secret) ||
			!utf8.ValidString(secret) || !utf8.ValidString(before) || !utf8.ValidString(after) {
			return
		}
		m := maskOf(secret)
		for name, s := range map[string]string{
			"plain": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret),
			"lower": strings.ToLower(url.QueryEscape("/")) + secret,
		} {
			// The neighbours of an encoded secret are encoded, too.
			if got := m.text(url.QueryEscape(before) + "&" + s + "&" + url.QueryEscape(after)); strings.Contains(got, "&"+s+"&") {
				t.Errorf("%s: %q is let through in %q", name, secret, got)
			}
		}
		if strings.ContainsAny(secret, "*") {
			return // what stands around a mask may make the secret anew
		}
		doc, err := json.Marshal(map[string]any{"a": before + secret + after, "b": []string{secret}})
		if err != nil {
			t.Fatal(err)
		}
		var back struct {
			A string
			B []string
		}
		if got := m.json(doc); json.Unmarshal(got, &back) != nil || strings.Contains(back.A, secret) || back.B[0] != masked {
			t.Errorf("%q is let through in %s", secret, got)
		}
	})
}

// What a call without secrets pays, and one that looks for two in 1 MB.
func BenchmarkMask(b *testing.B) {
	doc := json.RawMessage(`{"items":[` + strings.Repeat(`{"name":"a name","url":"https://example.com/?a=b%20c","n":17},`, 16_000) + `0]}`)
	for name, m := range map[string]*mask{"none": {}, "two": maskOf("Bearer 0123456789abcdef", "another-secret")} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				m.json(doc)
			}
		})
	}
}
