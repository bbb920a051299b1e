package engine

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/expr"
)

func TestWhatCrossedTheWireIsMasked(t *testing.T) {
	t.Parallel()
	if unmasked {
		t.Skip("the control build hides nothing")
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("canary-1234"))
	_ = z.Close()
	for name, c := range map[string]struct {
		message string
		cut     bool
		want    Message
	}{
		"empty": {},
		"plain": {message: "GET /?k=canary%2D1234 HTTP/1.1\r\nHost: x\r\n\r\nbody", want: Message{Bytes: "GET /?k=*** HTTP/1.1\r\nHost: x\r\n\r\nbody"}},
		"credentials": {
			message: "GET / HTTP/1.1\r\nauthorization: Basic YTpi\r\nCookie: a=b\r\n c=d\r\nX: y\r\nSet-Cookie: q\r\nProxy-Authorization:z\r\n\r\n",
			want:    Message{Bytes: "GET / HTTP/1.1\r\nauthorization: ***\r\nCookie: ***\r\nX: y\r\nSet-Cookie: ***\r\nProxy-Authorization: ***\r\n\r\n"},
		},
		"chunks split a secret": {
			message: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n<canary\r\n6\r\n-1234>\r\n0\r\n\r\n",
			want:    Message{Bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<***>"},
		},
		"an interim response": {
			message: "HTTP/1.1 103 Early Hints\r\nSet-Cookie: early-cookie\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: s=later-cookie; Path=/\r\n\r\nearly-cookie later-cookie canary-1234",
			want:    Message{Bytes: "HTTP/1.1 103 Early Hints\r\nSet-Cookie: ***\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: ***\r\n\r\n*** *** ***"},
		},
		"a compressed body": {
			message: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed.String(),
			want:    Message{Bytes: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", LeftOut: "gzip"},
		},
		"no text": {message: "HTTP/1.1 200 OK\r\n\r\n\xffcanary-1234", want: Message{Bytes: "SFRUUC8xLjEgMjAwIE9LDQoNCv8qKio=", Base64: true}},
		"cut within a secret": {
			message: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 70) + "canary-12", cut: true,
			want: Message{Bytes: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 13), Truncated: true},
		},
		"cut within a credential": {message: "GET / HTTP/1.1\r\nX: canary-1234\r\nAuthorization: Bea", cut: true, want: Message{Truncated: true}},
	} {
		m := &mask{}
		m.add("canary-1234")
		m.note(Capture{Response: []byte(c.message)})
		if d := cmp.Diff(c.want, m.hop(Capture{Response: []byte(c.message), ResponseCut: c.cut}).Response); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	// Without a secret a cut takes nothing away.
	if got := (&mask{}).message([]byte("HTTP/1.1 200 OK\r\n\r\nabc"), true); !strings.HasSuffix(got.Bytes, "abc") || !got.Truncated {
		t.Errorf("%+v", got)
	}
}

func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		"", "GET / HTTP/1.1\r\nCookie: canary-1234\r\n\r\ncanary-1234", "HTTP/1.1 100 Continue\r\n\r\n\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\nx", "a\r\n\r\n", ":\n :\n\r\n\r\n",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, cut bool) {
		m := &mask{}
		m.add("canary-1234")
		m.note(Capture{Request: []byte(s)})
		if got := m.message([]byte(s), cut); !unmasked && strings.Contains(got.Bytes, "canary-1234") {
			t.Errorf("%q shows %q", s, got.Bytes)
		}
	})
}

func TestExamplesFitTheirTypes(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		`{}`:                                       `null`,
		`{"type":"string"}`:                        `"text"`,
		`{"type":"integer"}`:                       `1`,
		`{"type":["null","boolean"]}`:              `true`,
		`{"type":"string","enum":["a","b"]}`:       `"a"`,
		`{"type":"array"}`:                         `[]`,
		`{"type":"array","items":{"type":"null"}}`: `[null]`,
		`{"type":"object","additionalProperties":false,"required":["n"],"properties":{"n":{"type":"number"},"l":{"type":"array","items":{"type":"string"}}}}`: `{"l":["text"],"n":1}`,
	} {
		typ, err := expr.ParseSchema([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		got := exampleOf(typ)
		if d := cmp.Diff(want, string(got)); d != "" {
			t.Errorf("%s: %s", schema, d)
		}
		if !json.Valid(got) {
			t.Errorf("%s: %s", schema, got)
		}
	}
	deep := expr.StringType()
	for range 100 {
		deep = expr.ListOf(deep)
	}
	if got := exampleOf(deep); len(got) > 100 {
		t.Errorf("%s", got)
	}
}
