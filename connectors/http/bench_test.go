package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/sdk"
)

// sink takes a request; read says whether it reads its body.
type sink struct {
	host
	shelf
	read bool
	sent int64
}

func (s *sink) HTTP(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
	if s.read {
		n, err := io.CopyBuffer(writer{}, struct{ io.Reader }{r.Body}, make([]byte, 32<<10))
		if err != nil || n != r.Size {
			return nil, fmt.Errorf("%d bytes of %d: %w", n, r.Size, err)
		}
		s.sent = n
	}
	return &sdk.Response{Status: 200, Header: ok, Body: io.NopCloser(strings.NewReader(`{"ok":true}`)), Size: 11}, nil
}

// writer is io.Discard without its own way to read.
type writer struct{}

func (writer) Write(p []byte) (int, error) { return len(p), nil }

var ok = sdk.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Date", Value: "Tue, 24 Nov 2026 10:00:00 GMT"}}

// bodies are the inputs of each kind of body, of about size bytes.
func bodies(size int) map[string]sdk.Fields {
	text := strings.Repeat("x", size-80)
	object := `{"title":"Task is done","due":null,"tags":["a","b"],"text":"` + text + `"}`
	in := func(more ...sdk.Field) sdk.Fields {
		return append(sdk.Fields{
			{Name: "method", Value: json.RawMessage(`"POST"`)},
			{Name: "url", Value: json.RawMessage(`"https://forms.example.com/entries"`)},
			{Name: "headers", Value: json.RawMessage(`{"X-Source":"tappet"}`)},
			{Name: "query", Value: json.RawMessage(`{"form":"feedback"}`)},
		}, more...)
	}
	field := func(name, v string) sdk.Field { return sdk.Field{Name: name, Value: json.RawMessage(v)} }
	return map[string]sdk.Fields{
		"json":       in(field("body", object)),
		"json-nulls": in(field("body", object), field("send_nulls", "false")),
		"raw":        in(field("body", `"`+text+`"`), field("body_type", `"raw"`)),
		"urlencoded": in(field("body", object), field("body_type", `"urlencoded"`)),
		"form-data":  in(field("form_data", object)),
		"file":       in(field("body", `{"file":"1","name":"a","type":"a/b","size":1}`), field("body_type", `"file"`)),
	}
}

func BenchmarkBody(b *testing.B) {
	for _, size := range []int{300, 1 << 20} {
		for name, fields := range bodies(size) {
			b.Run(fmt.Sprintf("%s/size=%d", name, size), func(b *testing.B) {
				h := &sink{}
				h.put("1", "a", "a/b", strings.Repeat("x", size))
				do := action(b, "custom").Do
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := do(b.Context(), h, sdk.ActionCall{Input: fields, IdempotencyKey: "key-1"}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	for name, tt := range map[string]struct{ contentType, unit, before, after string }{
		"json": {"application/json", `{"a":1,"b":"text"},`, "[", "0]"},
		"xml":  {"application/xml", `<a b="1">text</a>`, "<r>", "</r>"},
		"csv":  {"text/csv", "1,some text,3\n", "a,b,c\n", ""},
		"form": {"application/x-www-form-urlencoded", "some+text%20", "a=", ""},
		"text": {"text/plain", "some text ", "", ""},
	} {
		for _, size := range []int{300, 1 << 20} {
			body := tt.before + strings.Repeat(tt.unit, size/len(tt.unit)) + tt.after
			b.Run(fmt.Sprintf("%s/size=%d", name, size), func(b *testing.B) {
				h := &answering{header: sdk.Header{{Name: "Content-Type", Value: tt.contentType}}, body: body}
				do, in := action(b, "get").Do, sdk.Fields{{Name: "url", Value: json.RawMessage(`"https://x.test/"`)}}
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := do(b.Context(), h, sdk.ActionCall{Input: in}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// answering gives one answer.
type answering struct {
	host
	header sdk.Header
	body   string
}

func (a *answering) HTTP(context.Context, *sdk.Request) (*sdk.Response, error) {
	return &sdk.Response{Status: 200, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), Size: int64(len(a.body))}, nil
}

// allocated is what one call of f allocates, in bytes.
func allocated(f func()) uint64 {
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A JSON body of 1 MB goes out as the bytes that were mapped: it is neither
// copied nor decoded.
func TestLargeBodiesAreNotCopied(t *testing.T) {
	h := &sink{}
	do, in := action(t, "custom").Do, bodies(1<<20)
	call := func(kind string) func() {
		return func() {
			if _, err := do(t.Context(), h, sdk.ActionCall{Input: in[kind], IdempotencyKey: "key-1"}); err != nil {
				t.Error(err)
			}
		}
	}
	if n := allocated(call("json")); n > 16<<10 {
		t.Errorf("a JSON body of 1 MiB allocates %d bytes", n)
	}
	// The control: what is written anew needs its memory.
	if n := allocated(call("json-nulls")); n < 1<<20 {
		t.Errorf("a JSON body that is written anew allocates %d bytes; the measure is wrong", n)
	}
}

// glance is a host that looks at a body before and after its bytes were changed
// where they were mapped.
type glance struct {
	host
	change func()
	before []byte
	after  []byte
}

func (g *glance) HTTP(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
	var err error
	if g.before, err = io.ReadAll(r.Body); err != nil {
		return nil, err
	}
	g.change()
	again, err := r.Reopen()
	if err != nil {
		return nil, err
	}
	if g.after, err = io.ReadAll(again); err != nil {
		return nil, err
	}
	return &sdk.Response{Status: 204, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// Of a JSON body the connector reads no more than how it begins: what it gives to
// the host are the very bytes that were mapped, JSON or not, since the engine has
// written them. The control is the body that has to be read, to leave nulls out.
func TestALargeJSONBodyIsNotScanned(t *testing.T) {
	t.Parallel()
	mapped := append([]byte(`{"a":"`), bytes.Repeat([]byte{0xff}, 1<<20)...) // no JSON, beyond its beginning
	in := sdk.Fields{{Name: "url", Value: json.RawMessage(`"https://x.test/"`)}, {Name: "body", Value: mapped}}
	g := &glance{change: func() { mapped[len(mapped)-1] = 'x' }}
	if _, err := action(t, "post").Do(t.Context(), g, sdk.ActionCall{Input: in}); err != nil {
		t.Fatalf("the body was looked at: %v", err)
	}
	if len(g.before) != len(mapped) || g.before[len(mapped)-1] != 0xff || !bytes.Equal(g.after, mapped) {
		t.Error("what goes out isn't the memory that was mapped")
	}
	in = append(in, sdk.Field{Name: "send_nulls", Value: json.RawMessage("false")})
	if _, err := action(t, "post").Do(t.Context(), g, sdk.ActionCall{Input: in}); kindOf(err) != sdk.Invalid {
		t.Errorf("a body without nulls isn't read: %v; the measure is wrong", err)
	}
}

// zeros is a file without memory.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	z.left -= n
	return int(n), nil
}

// Files are never in memory: 64 MiB of them cost what a few bytes cost.
func TestS29_FilesAreStreamedInConstantMemory(t *testing.T) {
	h := &sink{read: true}
	const size = 64 << 20
	f := sdk.File{ID: "1", Name: "big", Type: "a/b", Size: size}
	h.files = map[string]kept{"1": {f, func() io.Reader { return &zeros{size} }}}
	in := sdk.Fields{
		{Name: "method", Value: json.RawMessage(`"POST"`)},
		{Name: "url", Value: json.RawMessage(`"https://x.test/"`)},
		{Name: "form_data", Value: fmt.Appendf(nil, `{"note":"n","file[]":[%s,%[1]s]}`, value(f))},
	}
	do := action(t, "custom").Do
	n := allocated(func() {
		if _, err := do(t.Context(), h, sdk.ActionCall{Input: in, IdempotencyKey: "key-1"}); err != nil {
			t.Error(err)
		}
	})
	if n > 128<<10 || h.sent < 2*size {
		t.Errorf("a body of %d bytes allocates %d bytes", h.sent, n)
	}
}
