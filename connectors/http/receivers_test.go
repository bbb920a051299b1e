package http_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

// received is a part as a receiver tells it: a value or a file.
type received struct {
	Name     string  `json:"name"`
	Value    *string `json:"value,omitempty"`
	Filename *string `json:"filename,omitempty"`
	Type     string  `json:"type,omitempty"`
	Size     int     `json:"size,omitempty"`
	SHA256   string  `json:"sha256,omitempty"`
}

// goReceiver is a receiver with mime/multipart of the standard library.
func goReceiver(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var got struct {
			Parts []received `json:"parts"`
			Error string     `json:"error,omitempty"`
		}
		m, err := r.MultipartReader()
		for err == nil {
			var p *multipart.Part
			if p, err = m.NextRawPart(); err != nil {
				break
			}
			var b []byte
			b, err = io.ReadAll(p)
			x := received{Name: p.FormName()}
			if _, isFile := p.Header["Content-Type"]; isFile {
				name, sum := p.FileName(), sha256.Sum256(b)
				x.Filename, x.Type, x.Size, x.SHA256 = &name, p.Header.Get("Content-Type"), len(b), hex.EncodeToString(sum[:])
			} else {
				v := string(b)
				x.Value = &v
			}
			got.Parts = append(got.Parts, x)
		}
		if !errors.Is(err, io.EOF) {
			got.Error = err.Error()
		}
		if r.ContentLength < 0 {
			got.Error += " the request has no Content-Length"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(got)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// start runs a receiver and gives its address; it ends with its standard input.
func start(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s doesn't tell its port: %v", cmd, err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}

// nodeReceiver runs busboy and multer, which .ci/deps installs.
func nodeReceiver(t testing.TB) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is missing: .ci/deps installs it")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(cache, "tappet-test", "receivers", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "multer")); err != nil {
		t.Skip("busboy and multer are missing: .ci/deps installs them")
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/receivers/node.js")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	return start(t, cmd)
}

// pythonReceiver runs werkzeug, which .ci/deps installs.
func pythonReceiver(t testing.TB) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import werkzeug.formparser").Run() == nil {
			return start(t, exec.CommandContext(t.Context(), python, "testdata/receivers/python.py"))
		}
	}
	t.Skip("werkzeug for Python is missing: .ci/deps installs it")
	return ""
}

// filed is a host whose requests go out through the real transport, with files.
type filed struct {
	*wired
	shelf
}

var _ sdk.Files = (*filed)(nil)

// What is sent is received, in order, by each receiver as it would be from a
// browser.
func TestS29_ReceiversInGoNodeAndPython(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef\r\n--", 50_000)
	files := []struct{ id, name, mediaType, content string }{
		{"1", "Grüße, 世界 🌱.txt", "text/plain", "hello\r\n"},
		{"2", "a b.png", "image/png", "\x89PNG\r\n\x1a\n\x00"},
		{"3", "empty.bin", "application/octet-stream", ""},
		{"4", "quote\".txt", "text/plain", "q"},
		{"5", "line\r\nbreak.txt", "text/plain", "l"},
		{"6", "big.bin", "application/octet-stream", big},
	}
	texts := [][2]string{{"note", "äöü €\r\n two"}, {"schlüssel", "1"}, {"empty", ""}, {"tags", "a"}, {"tags", "b"}}
	text := func(i int) received { return received{Name: texts[i][0], Value: &texts[i][1]} }
	// Browsers escape only what would end the name; that some receivers undo it,
	// and others don't, is theirs.
	escape := strings.NewReplacer("\"", "%22", "\r", "%0D", "\n", "%0A")
	file := func(name string, i int) received {
		f, sum := files[i], sha256.Sum256([]byte(files[i].content))
		n := escape.Replace(f.name)
		return received{Name: name, Filename: &n, Type: f.mediaType, Size: len(f.content), SHA256: hex.EncodeToString(sum[:])}
	}
	all := []received{
		text(0), file("Attachments[]", 0), file("Attachments[]", 1), file("Attachments[]", 2), text(1),
		file("quote", 3), file("line", 4), text(2), text(3), text(4), file("Größe", 5),
	}
	// Those that keep texts and files apart.
	var apart []received
	for _, isFile := range []bool{false, true} {
		for _, p := range all {
			if (p.Filename != nil) == isFile {
				apart = append(apart, p)
			}
		}
	}
	for _, tt := range []struct {
		name, path string
		start      func(testing.TB) string
		want       []received
	}{
		{"Go", "/", goReceiver, all},
		{"busboy", "/busboy", nodeReceiver, all},
		{"multer", "/multer", nodeReceiver, apart},
		{"werkzeug", "/", pythonReceiver, apart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := tt.start(t)
			h := &filed{wired: newWired(t, address)}
			var v []string
			for _, f := range files {
				v = append(v, h.put(f.id, f.name, f.mediaType, f.content))
			}
			in := `{"method":"POST","url":"http://` + address + tt.path + `","form_data":{"note":` + string(quote(texts[0][1])) +
				`,"Attachments[]":[` + strings.Join(v[:3], ",") + `],"schlüssel":1,"quote":` + v[3] + `,"line":` + v[4] +
				`,"empty":null,"tags":["a","b"],"Größe":` + v[5] + `}}`
			r, err := action(t, "custom").Do(t.Context(), h, sdk.ActionCall{Input: with(t, in), IdempotencyKey: "key-1"})
			if err != nil {
				t.Fatalf("%v: %.500s", err, r.Output)
			}
			var out struct {
				Body struct {
					Parts []received `json:"parts"`
					Error string     `json:"error"`
				} `json:"body"`
			}
			if err := json.Unmarshal(r.Output, &out); err != nil {
				t.Fatal(err)
			}
			for i, p := range out.Body.Parts {
				if p.Filename != nil {
					n := escape.Replace(*p.Filename)
					out.Body.Parts[i].Filename = &n
				}
			}
			if diff := cmp.Diff(tt.want, out.Body.Parts); diff != "" || out.Body.Error != "" {
				t.Errorf("%s\n%s", out.Body.Error, diff)
			}
			if h.open != 0 {
				t.Errorf("%d files are left open", h.open)
			}
		})
	}
}
