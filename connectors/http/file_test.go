package http_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/connectors/http"
	"github.com/tappet-dev/tappet/sdk"
)

// shelf is a fake of the host's files. open counts those that aren't closed.
type shelf struct {
	mu    sync.Mutex
	files map[string]kept
	open  int
	// made are the files that the call has made.
	made []kept
}

type kept struct {
	sdk.File
	bytes func() io.Reader
}

func (s *shelf) put(id, name, mediaType, content string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[string]kept{}
	}
	f := sdk.File{ID: id, Name: name, Type: mediaType, Size: int64(len(content))}
	s.files[id] = kept{f, func() io.Reader { return strings.NewReader(content) }}
	return string(value(f))
}

func value(f sdk.File) []byte {
	return fmt.Appendf(nil, `{"file":%s,"name":%s,"type":%s,"size":%d}`, quote(f.ID), quote(f.Name), quote(f.Type), f.Size)
}

func (s *shelf) OpenFile(_ context.Context, id string) (sdk.File, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[id]
	if !ok {
		return sdk.File{}, nil, sdk.Errorf(sdk.NotFound, "no such file")
	}
	s.open++
	return f.File, &opened{f.bytes(), s, false}, nil
}

func (s *shelf) NewFile(_ context.Context, name, mediaType string, r io.Reader) (sdk.File, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return sdk.File{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := sdk.File{ID: fmt.Sprintf("new-%d", len(s.made)), Name: name, Type: mediaType, Size: int64(len(b))}
	s.made = append(s.made, kept{f, func() io.Reader { return bytes.NewReader(b) }})
	return f, nil
}

type opened struct {
	io.Reader
	s      *shelf
	closed bool
}

func (o *opened) Close() error {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if o.closed {
		return fmt.Errorf("closed twice")
	}
	o.closed = true
	o.s.open--
	return nil
}

// keeper is a host that keeps files.
type keeper struct {
	host
	shelf
}

func newKeeper() *keeper { return &keeper{} }

func (k *keeper) do(t testing.TB, name, object string) (string, error) {
	t.Helper()
	r, err := action(t, name).Do(t.Context(), k, sdk.ActionCall{Action: name, Input: with(t, object), IdempotencyKey: "key-1"})
	if k.open != 0 {
		t.Errorf("%d files are left open", k.open)
	}
	return string(r.Output), err
}

// sends is one request that goes out.
func (k *keeper) sends(t testing.TB, object, want string) {
	t.Helper()
	if _, err := k.do(t, "custom", object); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	if diff := cmp.Diff([]string{want}, plainBoundaries(k.sent)); diff != "" {
		t.Errorf("%s: %s", object, diff)
	}
	k.sent = nil
}

const formType = "Content-Type: multipart/form-data; boundary=B\n"

func filePart(name, filename, mediaType, content string) string {
	return part(fmt.Sprintf("name=\"%s\"; filename=\"%s\"\r\nContent-Type: %s", name, filename, mediaType), content)
}

func TestS8_FileBodies(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	png := k.put("id1", "a.png", "image/png", "\x89PNG")
	empty := k.put("id2", "empty", "", "")
	const m = `{"method":"PUT",` + u
	for in, want := range map[string]string{
		m + `,"body_type":"file","body":` + png + `}`:                                                     "Content-Type: image/png\n" + key + "\n\x89PNG",
		m + `,"body_type":"file","content_type":"image/x","body":` + png + `}`:                            "Content-Type: image/x\n" + key + "\n\x89PNG",
		m + `,"body_type":"file","headers":{"Content-Type":"a/b"},"body":` + png + `}`:                    "Content-Type: a/b\n" + key + "\n\x89PNG",
		m + `,"body_type":"raw","content_type":"a/b","body":` + png + `}`:                                 "Content-Type: a/b\n" + key + "\n\x89PNG",
		m + `,"body_type":"raw","body":` + png + `}`:                                                      "Content-Type: image/png\n" + key + "\n\x89PNG",
		m + `,"body_type":"file","body":` + empty + `}`:                                                   "Content-Type: application/octet-stream\n" + key + "\n",
		m + `,"body_type":"file","body":{"file":"id1","name":"x","type":"a/b\r\nX: y","size":999999999}}`: "Content-Type: application/octet-stream\n" + key + "\n\x89PNG",
	} {
		k.sends(t, in, "PUT"+line+want)
	}
}

func TestS9_BinaryResponsesBecomeFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, contentType, disposition, parse, body string
		status                                      int
		want                                        string // the file's name and type, "" for none
		output                                      string // the body of the output if it is no file
		logs                                        int
	}{
		{name: "png", contentType: "image/png; x=y", body: "\x89PNG", want: "hook image/png"},
		{name: "svg", contentType: "image/svg+xml", body: "<svg/>", want: "hook image/svg+xml"},
		{name: "pdf with a name", contentType: "Application/PDF", disposition: `attachment; filename="a b.pdf"`, body: "%PDF", want: "a b.pdf application/pdf"},
		{name: "name in UTF-8", contentType: "application/zip", disposition: `attachment; filename="x"; filename*=UTF-8''%C3%BC%22.zip`, body: "PK", want: "ü\".zip application/zip"},
		{name: "name in ISO-8859-1", contentType: "application/zip", disposition: "attachment; filename=\"\xfc.zip\"", body: "PK", want: "ü.zip application/zip"},
		{name: "name without quotes", contentType: "application/zip", disposition: "attachment; FileName=my file.zip; a", body: "PK", want: "my file.zip application/zip"},
		{name: "name that is a path", contentType: "application/zip", disposition: `attachment; filename="../../etc\\passwd"`, body: "PK", want: "passwd application/zip"},
		{name: "name of a folder", contentType: "application/zip", disposition: `attachment; filename=".."`, body: "PK", want: "hook application/zip"},
		{name: "no type, no text", body: "\xff\xfa", want: "hook application/octet-stream"},
		{name: "no type, text", body: "plain", output: `"plain"`},
		{name: "told so", contentType: "application/json", parse: "file", body: "[]", want: "hook application/json"},
		{name: "told so, empty", contentType: "application/json", parse: "file", want: "hook application/json"},
		{name: "empty", contentType: "image/png", output: "null"},
		{name: "told text", contentType: "image/png", parse: "text", body: "x", output: `"x"`},
		{name: "of a failed call", status: 500, contentType: "image/png", body: "x", output: "null", logs: 1},
		{name: "told file, of a failed call", status: 404, contentType: "application/json", parse: "file", body: `{"a":1}`, output: `{"a":1}`},
	} {
		k := newKeeper()
		k.status, k.body = tt.status, strings.NewReader(tt.body)
		if k.status == 0 {
			k.status = 200
		}
		if tt.contentType != "" {
			k.header.Add("Content-Type", tt.contentType)
		}
		if tt.disposition != "" {
			k.header.Add("Content-Disposition", tt.disposition)
		}
		in := `{` + u + `}`
		if tt.parse != "" {
			in = `{` + u + `,"response_type":"` + tt.parse + `"}`
		}
		out, err := k.do(t, "get", in)
		if (err != nil) != (k.status != 200) {
			t.Errorf("%s: %v", tt.name, err)
		}
		want := tt.output
		if tt.want != "" {
			name, mediaType := tt.want[:strings.LastIndexByte(tt.want, ' ')], tt.want[strings.LastIndexByte(tt.want, ' ')+1:]
			f := sdk.File{ID: "new-0", Name: name, Type: mediaType, Size: int64(len(tt.body))}
			want = string(value(f))
			if len(k.made) != 1 {
				t.Errorf("%s: %d files", tt.name, len(k.made))
			} else if b, _ := io.ReadAll(k.made[0].bytes()); string(b) != tt.body {
				t.Errorf("%s: the file holds %q", tt.name, b)
			}
		}
		if _, got, _ := strings.Cut(out, `"body":`); got != want+"}" || len(k.logs) != tt.logs {
			t.Errorf("%s: body %s, want %s; logged %q", tt.name, got, want, k.logs)
		}
	}
}

func TestResponseLimits(t *testing.T) {
	t.Parallel()
	get := func(h sdk.Host, with sdk.Fields) (sdk.Result, error) {
		return http.NewLimited(http.Limits{Memory: 1000}).Actions[1].Do(t.Context(), h, sdk.ActionCall{Input: with})
	}
	for _, tt := range []struct {
		contentType, body, parse string
		kind                     sdk.Kind
		files                    int
	}{
		{"text/plain", strings.Repeat("x", 1000), "", "", 0},
		{"text/plain", strings.Repeat("x", 1001), "", sdk.TooLarge, 0},
		{"application/json", `"` + strings.Repeat("x", 1000) + `"`, "", sdk.TooLarge, 0},
		{"", strings.Repeat("x", 1001), "", "", 1},
		{"text/plain", strings.Repeat("x", 1001), "file", "", 1},
		{"image/png", strings.Repeat("x", 1001), "", "", 1},
		{"text/csv", strings.Repeat("x", 100) + strings.Repeat("\ny", 100), "", sdk.TooLarge, 0},
	} {
		k := newKeeper()
		k.status, k.body = 200, strings.NewReader(tt.body)
		if tt.contentType != "" {
			k.header.Add("Content-Type", tt.contentType)
		}
		in := `{` + u + `}`
		if tt.parse != "" {
			in = `{` + u + `,"response_type":"` + tt.parse + `"}`
		}
		out, err := get(k, with(t, in))
		if kindOf(err) != tt.kind || len(k.made) != tt.files || len(out.Output) > 2000 {
			t.Errorf("%s %s, %d bytes: %v, %d files, output %.100s", tt.contentType, tt.parse, len(tt.body), err, len(k.made), out.Output)
		}
		if tt.files == 1 {
			if b, _ := io.ReadAll(k.made[0].bytes()); string(b) != tt.body {
				t.Errorf("the file has %d bytes, want %d", len(b), len(tt.body))
			}
		}
	}
	// Only a call whose response may become a file asks for more than the host
	// takes into memory.
	for parse, more := range map[string]bool{"auto": true, "file": true, "json": false, "none": false} {
		k := newKeeper()
		if _, err := get(k, with(t, `{`+u+`,"response_type":"`+parse+`"}`)); err != nil || (k.most > 0) != more {
			t.Errorf("%s: up to %d bytes are asked for, %v", parse, k.most, err)
		}
	}
	// A call that keeps no files leaves out what would be one.
	full := &refusing{keeper: newKeeper()}
	full.status, full.body, full.header = 200, strings.NewReader("\xff"), sdk.Header{{Name: "Content-Type", Value: "image/png"}}
	if out, err := get(full, with(t, `{`+u+`}`)); err != nil || !strings.HasSuffix(string(out.Output), `"body":null}`) || len(full.logs) != 1 {
		t.Errorf("%s, %v, logged %q", out.Output, err, full.logs)
	}
	full.body = strings.NewReader("\xff")
	if _, err := get(full, with(t, `{`+u+`,"response_type":"file"}`)); kindOf(err) != sdk.Unsupported {
		t.Errorf("%v, want kind unsupported", err)
	}
	// A host that keeps no files says so before anything is sent.
	h := &host{}
	if _, err := get(h, with(t, `{`+u+`,"response_type":"file"}`)); kindOf(err) != sdk.Unsupported || len(h.sent) != 0 {
		t.Errorf("%v, sent %q; kind unsupported is wanted", err, h.sent)
	}
	h = &host{status: 200, body: strings.NewReader("\xff"), header: sdk.Header{{Name: "Content-Type", Value: "image/png"}}}
	if out, err := get(h, with(t, `{`+u+`}`)); err != nil || !strings.HasSuffix(string(out.Output), `"body":null}`) || len(h.logs) != 1 {
		t.Errorf("%s, %v, logged %q", out.Output, err, h.logs)
	}
}

// refusing is a host whose call keeps no new files.
type refusing struct{ *keeper }

func (*refusing) NewFile(context.Context, string, string, io.Reader) (sdk.File, error) {
	return sdk.File{}, sdk.Errorf(sdk.Unsupported, "this call keeps no files")
}

func TestS28_FilesGoWithFormData(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	f := k.put("id1", "a.txt", "text/plain", "hello")
	k.sends(t, `{"method":"POST",`+u+`,"headers":{"X-A":"1"},"query":{"q":"2"},"form_data":{"note":"n","file":`+f+`}}`,
		"POST https://x.test/hook?q=2\nX-A: 1\n"+formType+key+"\n"+part(`name="note"`, "n")+filePart("file", "a.txt", "text/plain", "hello")+end)
}

func TestS29_TextAndFilePartsInOrder(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	a := k.put("id1", "ü\"\r\n\\.txt", "text/plain", "--B\r\nno boundary")
	b := k.put("id2", "", "", "")
	k.sends(t, `{"method":"POST",`+u+`,"form_data":{"z":1,"б":`+a+`,"a":"x","y":`+b+`,"c":"\r\n"}}`,
		"POST"+line+formType+key+"\n"+part(`name="z"`, "1")+filePart("б", "ü%22%0D%0A\\.txt", "text/plain", "--B\r\nno boundary")+
			part(`name="a"`, "x")+filePart("y", "", "application/octet-stream", "")+part(`name="c"`, "\r\n")+end)
	k.sends(t, `{"method":"POST",`+u+`,"body_type":"form-data","form_data":[{"name":"f","value":`+a+`,"filename":"new","content_type":"a/b"},{"name":"f","value":`+b+`}]}`,
		"POST"+line+formType+key+"\n"+filePart("f", "new", "a/b", "--B\r\nno boundary")+filePart("f", "", "application/octet-stream", "")+end)
}

func TestS30_BracketsSendEveryFile(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	a, b := k.put("id1", "a", "text/plain", "1"), k.put("id2", "b", "text/plain", "2")
	k.sends(t, `{"method":"POST",`+u+`,"form_data":{"Attachments[]":[`+a+`,`+b+`,`+a+`],"One[]":`+b+`,"None[]":[]}}`,
		"POST"+line+formType+key+"\n"+filePart("Attachments[]", "a", "text/plain", "1")+filePart("Attachments[]", "b", "text/plain", "2")+
			filePart("Attachments[]", "a", "text/plain", "1")+filePart("One[]", "b", "text/plain", "2")+end)
	if len(k.logs) != 0 {
		t.Errorf("logged %q", k.logs)
	}
}

func TestS31_WithoutBracketsTheFirstFileAndAWarning(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	a, b := k.put("id1", "a", "text/plain", "1"), k.put("id2", "b", "text/plain", "2")
	k.sends(t, `{"method":"POST",`+u+`,"form_data":{"Attachments":[`+a+`,`+b+`,"text",`+b+`]}}`,
		"POST"+line+formType+key+"\n"+filePart("Attachments", "a", "text/plain", "1")+part(`name="Attachments"`, "text")+end)
	if len(k.logs) != 1 || !strings.Contains(k.logs[0], "only the first of them is sent") {
		t.Errorf("logged %q", k.logs)
	}
}

func TestFormDataIsTheSameForEachAttempt(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	f := k.put("id1", "a", "text/plain", "1")
	send := func(key, note string) string {
		k.sent = nil
		in := `{"method":"POST",` + u + `,"idempotency_key":false,"form_data":{"n":` + note + `,"f":` + f + `}}`
		if _, err := action(t, "custom").Do(t.Context(), k, sdk.ActionCall{Input: with(t, in), IdempotencyKey: key}); err != nil {
			t.Fatal(err)
		}
		return k.sent[0]
	}
	if one, two := send("k1", "1"), send("k1", "1"); one != two {
		t.Errorf("two attempts differ:\n%s\n%s", one, two)
	}
	if one, two := send("k1", "1"), send("k2", "1"); one == two {
		t.Error("two steps have the same boundary")
	}
}

// A file that isn't what it was announced as fails the request.
func TestFilesThatChangeFailTheRequest(t *testing.T) {
	t.Parallel()
	for what, content := range map[string]io.Reader{
		"ends 2 bytes early": strings.NewReader("abc"),
		"read the file":      io.MultiReader(strings.NewReader("a"), failing{}),
	} {
		k := newKeeper()
		v := k.put("id1", "a", "text/plain", "12345")
		f := k.files["id1"]
		f.bytes = func() io.Reader { return content }
		k.files["id1"] = f
		_, err := k.do(t, "custom", `{"method":"POST",`+u+`,"form_data":{"f":`+v+`}}`)
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}
