package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

// A cabinet is a host that keeps files, as f1, f2 and so on: what they hold, or
// with hashes their digests.
type cabinet struct {
	sdk.Host
	files  []sdk.File
	bytes  []string
	hashes bool
	// full ends each file with an error.
	full error
}

func (c *cabinet) OpenFile(context.Context, string) (sdk.File, io.ReadCloser, error) {
	return sdk.File{}, nil, errors.New("a trigger opens no files")
}

func (c *cabinet) NewFile(_ context.Context, name, mediaType string, r io.Reader) (sdk.File, error) {
	if c.full != nil {
		return sdk.File{}, c.full
	}
	var b strings.Builder
	sum := sha256.New()
	var w io.Writer = &b
	if c.hashes {
		w = sum
	}
	n, err := io.Copy(w, r)
	if err != nil {
		return sdk.File{}, err
	}
	if c.hashes {
		b.WriteString(hex.EncodeToString(sum.Sum(nil)))
	}
	f := sdk.File{ID: fmt.Sprint("f", len(c.files)+1), Name: name, Type: mediaType, Size: n}
	c.files, c.bytes = append(c.files, f), append(c.bytes, b.String())
	return f, nil
}

// stream fires a request whose body is a stream.
func stream(t testing.TB, h sdk.Host, contentType string, body io.Reader, header ...string) (json.RawMessage, error) {
	t.Helper()
	r := sdk.WebhookRequest{Method: "POST", Path: "p", Stream: body}
	r.Header.Add("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	got, err := New().Triggers[0].Webhook(t.Context(), h, sdk.WebhookCall{Config: json.RawMessage(accepted), Request: r})
	if err != nil {
		return nil, err
	}
	return got.Events[0].Data, nil
}

type formEvent struct {
	Body  json.RawMessage `json:"body"`
	Files []sdk.File      `json:"files"`
}

func wantForm(t testing.TB, data json.RawMessage, body string, files []sdk.File) {
	t.Helper()
	var got formEvent
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	if string(got.Body) != body {
		t.Errorf("body is %s\nwant    %s", got.Body, body)
	}
	if diff := cmp.Diff(append([]sdk.File{}, files...), append([]sdk.File{}, got.Files...)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

const boundary = "multipart/form-data; boundary=x"

// crlf writes a form as it is on the wire.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestS33_AFormOfPartsWithFiles(t *testing.T) {
	t.Parallel()
	body := crlf(`preamble
--x
Content-Disposition: form-data; name="title"

Rapport – été
--x
Content-Disposition: form-data; name="Attachments[]"; filename="日本 語.txt"
Content-Type: text/plain

one
--x
Content-Disposition: form-data; name="tag"

a
--x
Content-Disposition: form-data; name="Attachments[]"; filename="../../etc/pass wd"

two
--y
--x
Content-Disposition: form-data; name="tag"

b
--x
Content-Disposition: form-data; name="empty"; filename=""
Content-Type: application/octet-stream


--x
Content-Disposition: form-data; name="zero"; filename="0"


--x
content-disposition: form-data; name="raw"
Content-Type: application/octet-stream

` + "\x00\xff" + `
--x
Content-Disposition: form-data; name=json
Content-Type: application/json; charset=UTF-8

{"a":1}
--x--
epilogue`)
	for name, r := range map[string]io.Reader{
		"at once":      strings.NewReader(body),
		"byte by byte": iotest.OneByteReader(strings.NewReader(body)),
		"data at eof":  iotest.DataErrReader(strings.NewReader(body)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &cabinet{}
			data, err := stream(t, c, boundary, r)
			if err != nil {
				t.Fatal(err)
			}
			wantForm(t, data, `{"title":"Rapport – été","Attachments[]":[{"file":"f1","name":"日本 語.txt","type":"text/plain","size":3},`+
				`{"file":"f2","name":"../../etc/pass wd","type":"","size":8}],"tag":["a","b"],"empty":null,`+
				`"zero":{"file":"f3","name":"0","type":"","size":0},"raw":{"file":"f4","name":"","type":"application/octet-stream","size":2},`+
				`"json":"{\"a\":1}"}`, c.files)
			if diff := cmp.Diff([]string{"one", "two\r\n--y", "", "\x00\xff"}, c.bytes); diff != "" {
				t.Errorf("bytes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABodyOfAnotherTypeIsAFile(t *testing.T) {
	t.Parallel()
	c := &cabinet{}
	data, err := stream(t, c, "image/png", strings.NewReader("\x89PNG"), "Content-Disposition", `attachment; filename*=UTF-8''%C3%A9.png`)
	if err != nil {
		t.Fatal(err)
	}
	wantForm(t, data, `{"file":"f1","name":"é.png","type":"image/png","size":4}`, c.files)
	if data, err = stream(t, c, "multipart/mixed; boundary=x", strings.NewReader("--x--")); err != nil {
		t.Fatal(err)
	}
	wantForm(t, data, `{"file":"f2","name":"body","type":"multipart/mixed; boundary=x","size":5}`, c.files[1:])
	if data, err = stream(t, c, "image/png", strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	wantForm(t, data, `null`, nil)
}

func part(header, body string) string { return "--x\r\n" + header + "\r\n\r\n" + body + "\r\n" }

func named(name, body string) string {
	return part(`Content-Disposition: form-data; name="`+name+`"`, body)
}

func TestBrokenFormsAreRefused(t *testing.T) {
	t.Parallel()
	end := "--x--\r\n"
	big := strings.Repeat("a", 17<<10)
	for name, tt := range map[string]struct {
		contentType, body string
		kind              sdk.Kind
		says              string
	}{
		"no boundary":              {"multipart/form-data", named("a", "1") + end, sdk.Invalid, "boundary has 0 bytes; 1 to 70"},
		"a long boundary":          {"multipart/form-data; boundary=" + strings.Repeat("b", 71), "", sdk.Invalid, "71 bytes"},
		"another boundary":         {"multipart/form-data; boundary=yy", named("a", "1") + end, sdk.Invalid, "ends"},
		"nothing":                  {boundary, "", sdk.Invalid, "part 1: the form ends before its last boundary"},
		"no last boundary":         {boundary, named("a", "1"), sdk.Invalid, "the form ends before its last boundary"},
		"cut in a text":            {boundary, named("a", "1")[:len(named("a", "1"))-3], sdk.Invalid, "part 1: the form ends"},
		"cut in a file":            {boundary, part(`Content-Disposition: form-data; name="a"; filename="b"`, "1")[:60], sdk.Invalid, "ends"},
		"cut in a boundary":        {boundary, named("a", "1") + "--", sdk.Invalid, "ends"},
		"cut in a header":          {boundary, "--x\r\nContent-Disposition: form-", sdk.Invalid, "part 1"},
		"no name":                  {boundary, part("Content-Disposition: form-data", "1") + end, sdk.Invalid, `name="…" is wanted`},
		"an empty name":            {boundary, named("", "1") + end, sdk.Invalid, `name="…" is wanted`},
		"no disposition":           {boundary, part("X: y", "1") + end, sdk.Invalid, `name="…" is wanted`},
		"an attachment":            {boundary, part(`Content-Disposition: attachment; name="a"`, "1") + end, sdk.Invalid, "form-data;"},
		"two names":                {boundary, part(`Content-Disposition: form-data; name="a"; name="b"`, "1") + end, sdk.Invalid, "is wanted"},
		"not a header":             {boundary, part("no colon here", "1") + end, sdk.Invalid, "part 1"},
		"a form in a form":         {boundary, part("Content-Disposition: form-data; name=a\r\nContent-Type: multipart/mixed; boundary=z", "--z--") + end, sdk.Invalid, "each file as a part of its own"},
		"text that isn't UTF-8":    {boundary, named("a", "\xff") + end, sdk.Unsupported, `the field "a" is text that isn't UTF-8`},
		"a charset":                {boundary, part("Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=utf-16", "1") + end, sdk.Unsupported, "send UTF-8"},
		"1,001 parts":              {boundary, strings.Repeat(named("a", ""), 1001) + end, sdk.TooLarge, "more than 1000 parts"},
		"a long header":            {boundary, part("Content-Disposition: form-data; name=a\r\nX: "+big, "1") + end, sdk.TooLarge, "header has more than 16384 bytes"},
		"many header lines":        {boundary, part("Content-Disposition: form-data; name=a\r\n"+strings.Repeat("X: y\r\n", 5000)+"Z: z", "1") + end, sdk.TooLarge, "header has more than 16384 bytes"},
		"a header of one name":     {boundary, part(strings.Repeat("a", 1<<20), "1") + end, sdk.TooLarge, "header has more than 16384 bytes"},
		"a long preamble":          {boundary, strings.Repeat("a\r\n", 20_000) + named("a", "1") + end, sdk.TooLarge, "before the first boundary"},
		"a preamble of one line":   {boundary, strings.Repeat("a", 1<<20) + "\r\n" + named("a", "1") + end, sdk.TooLarge, "before the first boundary"},
		"a long epilogue":          {boundary, named("a", "1") + end + strings.Repeat("e", 200<<10), sdk.TooLarge, "follow the last boundary"},
		"too much text":            {boundary, named("a", strings.Repeat("a", 6<<20)) + named("b", strings.Repeat("a", 5<<20)) + end, sdk.TooLarge, "more than 10485760 bytes together"},
		"too much text in headers": {boundary, strings.Repeat(part("Content-Disposition: form-data; name=a\r\nX: "+big[:15<<10], ""), 800) + end, sdk.TooLarge, "together"},
	} {
		_, err := stream(t, &cabinet{}, tt.contentType, strings.NewReader(tt.body))
		if sdk.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.says) {
			t.Errorf("%s: %v, want kind %s saying %q", name, err, tt.kind, tt.says)
		}
	}
	// The same, whole, is taken: what is refused is refused for its fault.
	c := &cabinet{}
	data, err := stream(t, c, boundary, strings.NewReader(strings.Repeat(named("a", ""), 999)+
		part("Content-Disposition: form-data; name=a\r\nX: "+big[:15<<10], "")+end+strings.Repeat("e", 60<<10)))
	if err != nil {
		t.Error(err)
	} else if !json.Valid(data) {
		t.Errorf("event %.100s", data)
	}
}

// SecurityRule 11: what a sender calls a file is data, whatever it is.
func TestSec11_NamesOfFilesAreData(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"../../../etc/passwd", "/etc/passwd", `C:\temp\a.txt`, "a;b=c", "é", "\u202egnp.exe", "<script>", "${{ x }}",
		strings.Repeat("n", 10_000), "a%0D%0AX: y", ".", "..", " ",
	} {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="f"; filename="` + strings.ReplaceAll(name, `\`, `\\`) + `"`}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = p.Write([]byte("1"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		c := &cabinet{}
		data, err := stream(t, c, w.FormDataContentType(), &b)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if len(c.files) != 1 || c.files[0].Name != name {
			t.Errorf("the host is told %+v; want the name %q", c.files, name)
		}
		var e formEvent
		if err := json.Unmarshal(data, &e); err != nil || len(e.Files) != 1 || e.Files[0].Name != name {
			t.Errorf("%q: %v in %.200s", name, err, data)
		}
	}
	// A NUL or a line break can't be in a name at all.
	if _, err := stream(t, &cabinet{}, boundary, strings.NewReader(part("Content-Disposition: form-data; name=f; filename=\"a\x00b\"", "1")+"--x--")); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("a NUL: %v", err)
	}
	_, err := stream(t, &cabinet{}, boundary, strings.NewReader(part("Content-Disposition: form-data; name=\"f\"; filename=\"a\r\n\tb\"", "1")+"--x--"))
	if err != nil && sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("a line break: %v", err)
	}
}

// A host that can't keep a file is the host's trouble and keeps its kind.
func TestAFileThatCannotBeKept(t *testing.T) {
	t.Parallel()
	for _, kind := range []sdk.Kind{sdk.Unavailable, sdk.TooLarge} {
		c := &cabinet{full: sdk.Errorf(kind, "no room")}
		_, err := stream(t, c, boundary, strings.NewReader(part(`Content-Disposition: form-data; name="a"; filename="b"`, "1")+"--x--"))
		if sdk.KindOf(err) != kind || !strings.Contains(err.Error(), `the file of the field "a"`) {
			t.Errorf("%v; want kind %s, and the field", err, kind)
		}
		if _, err = stream(t, c, "image/png", strings.NewReader("x")); sdk.KindOf(err) != kind {
			t.Errorf("%v; want kind %s", err, kind)
		}
	}
	_, err := New().Triggers[0].Webhook(t.Context(), struct{ sdk.Host }{}, sdk.WebhookCall{Request: sdk.WebhookRequest{
		Header: sdk.Header{{Name: "Content-Type", Value: boundary}}, Stream: strings.NewReader("--x--"),
	}})
	if sdk.KindOf(err) != sdk.Unsupported {
		t.Errorf("a host without files: %v", err)
	}
}

// A thrifty stream holds at most so many bytes.
type thrifty struct {
	io.Reader
	left int64
}

func (s *thrifty) Hold(n int64) error {
	if s.left -= n; s.left < 0 {
		return sdk.Errorf(sdk.Unavailable, "no memory")
	}
	return nil
}

func TestTextsAreAskedForBeforeTheyAreHeld(t *testing.T) {
	t.Parallel()
	form := named("a", strings.Repeat("a", 100<<10)) + part(`Content-Disposition: form-data; name="b"; filename="b"`, strings.Repeat("b", 1<<20)) + "--x--"
	if _, err := stream(t, &cabinet{}, boundary, &thrifty{strings.NewReader(form), 101 << 10}); err != nil {
		t.Errorf("a file counts: %v", err)
	}
	if _, err := stream(t, &cabinet{}, boundary, &thrifty{strings.NewReader(form), 99 << 10}); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("a text doesn't count: %v", err)
	}
}

// zeros gives n bytes.
type zeros struct{ n int64 }

func (z *zeros) Read(b []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), z.n))
	clear(b[:n])
	z.n -= int64(n)
	return n, nil
}

func TestAFileTakesNoMemory(t *testing.T) {
	const size = 64 << 20
	c := &cabinet{hashes: true}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := stream(t, c, boundary, io.MultiReader(
		strings.NewReader("--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n"), &zeros{size}, strings.NewReader("\r\n--x--")))
	runtime.ReadMemStats(&after)
	if err != nil || len(c.files) != 1 || c.files[0].Size != size {
		t.Fatalf("%+v, %v", c.files, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("a file of %d bytes allocates %d", size, got)
	}
}

// No bytes make a form panic, or an event that isn't JSON.
func FuzzForm(f *testing.F) {
	f.Add("x", []byte(named("a", "1")+part(`Content-Disposition: form-data; name="a"; filename="b"`, "\xff")+"--x--"))
	f.Add("x", []byte("--x\r\n\r\n--x--"))
	f.Add("-", []byte("-----\r\nContent-Disposition: form-data; name*=UTF-8''%ff\r\n\r\n\r\n-----"))
	f.Add(`"`, []byte("--\r\n"))
	f.Fuzz(func(t *testing.T, boundary string, body []byte) {
		c := &cabinet{}
		data, err := stream(t, c, "multipart/form-data; boundary="+boundary, bytes.NewReader(body))
		if err == nil && !json.Valid(data) {
			t.Fatalf("event %q", data)
		}
	})
}

func BenchmarkForm(b *testing.B) {
	form := named("a", "one") + named("b", strings.Repeat("x", 200)) +
		part(`Content-Disposition: form-data; name="f"; filename="b"`, strings.Repeat("y", 1<<20)) + "--x--"
	b.SetBytes(int64(len(form)))
	b.ReportAllocs()
	for b.Loop() {
		c := &cabinet{hashes: true}
		if _, err := stream(b, c, boundary, strings.NewReader(form)); err != nil {
			b.Fatal(err)
		}
	}
}
