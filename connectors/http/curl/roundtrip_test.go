package curl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	connector "github.com/tappet-dev/tappet/connectors/http"
	"github.com/tappet-dev/tappet/connectors/http/curl"
	"github.com/tappet-dev/tappet/connectors/webhook"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// shelf has the connectors of a graph with an imported step.
type shelf struct{}

func (shelf) Connector(name string) (engine.Connector, error) {
	for _, c := range (shelf{}).Connectors() {
		if c.Name == name {
			return c, nil
		}
	}
	return engine.Connector{}, &engine.Error{Kind: engine.NotFound, Op: name}
}

func (s shelf) At(name, _ string) (engine.Connector, error) { return s.Connector(name) }

func (shelf) Connectors() []engine.Connector {
	h, w := connector.New(), webhook.New()
	return []engine.Connector{{Connector: &h, Origin: "builtin"}, {Connector: &w, Origin: "builtin"}}
}

// compile makes a graph of a step and builds it with the real validator.
func compile(step curl.Step) (*program.Step, error) {
	timeout := ""
	if step.Timeout != "" {
		timeout = fmt.Sprintf(`"timeout":%q,`, step.Timeout)
	}
	src := fmt.Sprintf(`{"name":"imported","trigger":{"use":"webhook","with":{"path":"x"}},"steps":[{"id":"request","use":%q,%s"with":%s}]}`,
		step.Use, timeout, step.With)
	doc, problems := graph.Parse([]byte(src), graph.JSON, graph.Limits{Bytes: 16 << 20})
	if doc == nil {
		return nil, fmt.Errorf("%v in %s", problems, src)
	}
	p, more := program.Build(doc, engine.Installed(shelf{}))
	for _, x := range append(problems, more...) {
		if !x.Warning {
			return nil, fmt.Errorf("%w in %s", x, src)
		}
	}
	return p.ByID["request"], nil
}

const token = "SECRETzz"

// printer is the host of an action whose request is printed.
type printer struct {
	sdk.Host
	secrets map[string]string
	command string
	notes   []string
}

func (p *printer) HTTP(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
	var err error
	p.command, p.notes, err = curl.Print(curl.Request{Request: r, Secrets: p.secrets})
	if err == nil {
		err = sdk.Errorf(sdk.Cancelled, "printed")
	}
	return nil, err
}

func (*printer) Log(context.Context, sdk.Level, string, ...any) {}

func (*printer) OpenFile(context.Context, string) (sdk.File, io.ReadCloser, error) {
	return sdk.File{}, io.NopCloser(strings.NewReader("")), nil
}

func (*printer) NewFile(context.Context, string, string, io.Reader) (sdk.File, error) {
	return sdk.File{}, sdk.Errorf(sdk.Unsupported, "none")
}

const event = `{"body":{},"headers":{},"query":{},"method":"POST","path":"x","params":{},"files":[
	{"file":"1","name":"plan.txt","type":"text/plain","size":0},{"file":"2","name":"b.txt","type":"text/plain","size":0}]}`

// printed runs a step up to its request, and prints that.
func printed(tb testing.TB, step curl.Step) *printer {
	tb.Helper()
	s, err := compile(step)
	if err != nil {
		tb.Fatal(err)
	}
	p := &printer{secrets: map[string]string{}}
	env := &expr.Env{Values: make([]any, program.NumVars)}
	env.Values[program.VarTrigger] = expr.NewRaw([]byte(event))
	var input sdk.Fields
	for _, f := range s.With {
		v, err := f.Value.AppendJSON(nil, env)
		if err != nil {
			tb.Fatal(err)
		}
		if f.To != nil {
			found, err := expr.References(v, f.To)
			if err != nil {
				tb.Fatal(err)
			}
			for i := len(found) - 1; i >= 0; i-- {
				x := found[i]
				p.secrets[token+x.Name] = x.Name
				v = append(append(bytes.Clone(v[:x.From]), fmt.Sprintf("%q", token+x.Name)...), v[x.To:]...)
			}
		}
		input = append(input, sdk.Field{Name: f.Name, Value: v})
	}
	h := connector.New()
	for _, a := range h.Actions {
		if "http."+a.Name == step.Use {
			_, err = a.Do(tb.Context(), p, sdk.ActionCall{Action: a.Name, Input: input})
		}
	}
	if p.command == "" {
		tb.Fatalf("nothing is printed: %v", err)
	}
	return p
}

// A sent is what a server has seen.
type sent struct {
	Method, URI string
	Header      map[string]string
	Body        any
}

// receiver records the last request.
type receiver struct {
	mu   sync.Mutex
	last *sent
}

func (c *receiver) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	s := &sent{Method: r.Method, URI: r.RequestURI, Header: map[string]string{}}
	for k, v := range r.Header {
		switch k {
		case "User-Agent", "Accept", "Content-Length", "Accept-Encoding", "Expect", "Traceparent":
			if strings.HasPrefix(v[0], "curl/") || k != "User-Agent" && k != "Accept" || v[0] == "*/*" {
				continue
			}
		}
		s.Header[k] = strings.Join(v, ", ")
	}
	body, _ := io.ReadAll(r.Body)
	s.Body = string(body)
	media, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch media {
	case "multipart/form-data":
		s.Header["Content-Type"] = media
		var parts []string
		m := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for {
			p, err := m.NextRawPart()
			if err != nil {
				break
			}
			b, _ := io.ReadAll(p)
			parts = append(parts, fmt.Sprintf("%s %s %s", p.Header.Get("Content-Disposition"), p.Header.Get("Content-Type"), b))
		}
		s.Body = parts
	case "application/json":
		var v any
		if json.Unmarshal(body, &v) == nil {
			s.Body = v
		}
	}
	c.mu.Lock()
	c.last = s
	c.mu.Unlock()
}

// shell runs a command of curl and gives what the receiver has seen.
func (c *receiver) shell(tb testing.TB, dir, command string, env ...string) sent {
	tb.Helper()
	c.mu.Lock()
	c.last = nil
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		tb.Fatalf("nothing came: %v\n%s\n%s", err, command, out)
	}
	return *c.last
}

// What curl sends for a command, it sends for the command that is printed of the
// step that was made of it.
func TestRoundTripThroughCurl(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl isn't installed")
	}
	dir := t.TempDir()
	for _, name := range []string{"plan.txt", "b.txt", "Ä _q_.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("Dig a hole.\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	basic := "TAPPET_SECRET_AUTHORIZATION=" + curl.Basic("ada:l'ove")
	for _, c := range []struct{ command, env string }{
		{command: `curl URL/a`},
		{command: `curl URL`},
		{command: `curl -s -S -L --compressed -o /dev/null 'URL/a?x=1&y=%20z#f'`},
		{command: `curl -I URL/head`},
		{command: `curl -G URL/q -d a=1 --data-urlencode 'b=c d' -d c`},
		{command: `curl URL/q --data-urlencode 'b=c d&é' --data-urlencode '=e f' --data-urlencode ~x_-.`},
		{command: `curl -G 'URL/q?x' --data-urlencode 'a b'`},
		{command: `curl -d a=1 -d 'b=x+y' URL`},
		{command: `curl -d 'a=1&a=2&b=' URL`},
		{command: `curl -d 'a=1&b=2&a=3' URL`},
		{command: `curl -d 'plain words, %zz' URL`},
		{command: `curl -d '' URL`},
		{command: `curl -d '{"a":1}' URL`},
		{command: `curl -X PUT -d a=b URL`},
		{command: `curl -X PATCH -d a=b URL`},
		{command: `curl -X DELETE URL/7`},
		{command: `curl -XPOST URL -H 'Content-Type: application/json' -d '{"n":1.50,"t":"it'\''s ${{ x }}","l":[1,null,{"a":true}]}'`},
		{command: `curl --json '{"a":' --json '"b"}' URL`},
		{command: `curl -X PATCH URL -H "Content-Type: application/vnd.api+json" --data-raw '{"a":"@b"}'`},
		{command: `curl URL -H 'content-type: application/json; charset=utf-8' -d '{"a":1,"a":2}'`},
		{command: `curl URL -H 'Content-Type: application/xml' --data-binary $'<a>\n\t\u00e4\\</a>'`},
		{command: `curl URL -H 'Content-Type: text/plain' -d '{broken'`},
		{command: `curl URL -H 'X-Empty;' -H 'X-A: 1' -H "X-B: \"two\" \$3 \\ '" -H 'X-A: 2'`},
		{command: `curl URL -A 'Agent 7' -e http://from.example.com/;auto`},
		{command: "curl URL \\\n  -H 'X-A: 1' \\\n  -d a=1"},
		{command: `curl -u "ada:l'ove" URL`, env: basic},
		{command: `curl http://ada:l%27ove@HOST/x`, env: "TAPPET_SECRET_AUTHORIZATION=" + curl.Basic("ada:l'ove")},
		{command: `curl -H 'Authorization: Bearer abc$def' URL`, env: "TAPPET_SECRET_AUTHORIZATION=Bearer abc$def"},
		{command: `curl -H "Authorization: $TAPPET_SECRET_FORMS" URL`, env: "TAPPET_SECRET_FORMS=Bearer x"},
		{command: `curl -b 'a=1; b="2"' URL`, env: `TAPPET_SECRET_COOKIE=a=1; b="2"`},
		{command: `curl -F a=1 -F 'b=x y' URL`},
		{command: `curl -F 'a=1;type=text/html;charset=utf-8' -F 'a="x;\"y\"\\z"' --form-string 'c=@d;type=e' URL`},
		{command: `curl -F note=hi -F 'files[]=@plan.txt' -F 'files[]=@b.txt;filename="Ä \"q\".txt";type=text/plain' URL`},
		{command: `curl -X PUT -F note=hi URL`},
		{command: `curl -T plan.txt -H 'Content-Type: text/plain' URL/up`},
		{command: `curl --data-binary @plan.txt -H 'Content-Type: text/plain' URL/up`},
		{command: `curl -g 'URL/a[1]{b}?c={d}'`},
		{command: `curl --path-as-is URL/a/../b/./c`},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			r := &receiver{}
			server := httptest.NewServer(r)
			defer server.Close()
			command := strings.NewReplacer("URL", server.URL, "HOST", strings.TrimPrefix(server.URL, "http://")).Replace(c.command)
			step, problems := curl.Parse(command)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			p := printed(t, step)
			if len(p.notes) > 0 {
				t.Errorf("notes: %q", p.notes)
			}
			// The printed files' bodies are stood for by their names.
			again := p.command
			if strings.Contains(string(step.With), `"body_type":"file"`) {
				again = strings.Replace(again, "--data-raw ''", "--data-binary @plan.txt", 1)
			}
			var env []string
			if c.env != "" {
				env = []string{c.env}
				if _, value, _ := strings.Cut(c.env, "="); strings.Contains(string(step.With)+again, value) {
					t.Errorf("the credential is in %s or %s", step.With, again)
				}
			}
			want := r.shell(t, dir, "command -v bash >/dev/null && exec bash -c "+curl.Quote(command), env...)
			got := r.shell(t, dir, again, env...)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s\n%s\n(-command +printed):\n%s", step.With, again, d)
			}
		})
	}
}
