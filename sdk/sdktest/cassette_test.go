package sdktest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// told sends a request through a cassette, as a connector does.
func told(t *testing.T, h *sdktest.Host, method, url, body string) string {
	t.Helper()
	r, err := h.HTTP(t.Context(), &sdk.Request{
		Method: method, URL: url, Body: strings.NewReader(body),
		Header: sdk.Header{{Name: "Authorization", Value: "Bearer tell/no+one"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s %x", r.Status, r.Header.Get("X-Seen"), b)
}

// converse asks what a cassette is recorded from, and then replays.
func converse(t *testing.T, h *sdktest.Host, secret string) (out []string) {
	t.Helper()
	for _, x := range []struct{ method, url, body string }{
		{"GET", "https://api.example.com/?key=" + secret, ""},
		{"GET", "https://api.example.com/n", ""},
		{"", "https://api.example.com/n", ""},
		{"POST", "https://api.example.com/", `{"token":"` + secret + `"}`},
		{"POST", "https://api.example.com/", "\xff"},
	} {
		out = append(out, told(t, h, x.method, x.url, x.body))
	}
	return out
}

// far is the server that a cassette is recorded from: it echoes, and counts
// at /n.
func far() sdktest.Cassette {
	n := 0
	return func(r *sdk.Request, body []byte) sdktest.Reply {
		a := sdktest.Reply{Status: 201, Body: body, Header: sdk.Header{
			{Name: "X-Seen", Value: r.URL}, {Name: "Set-Cookie", Value: "session=1"}, {Name: "Date", Value: "today"},
		}}
		if strings.HasSuffix(r.URL, "/n") {
			n++
			a.Body = fmt.Append(nil, n)
		}
		return a
	}
}

const cassette = "testdata/echo.cassette.json"

// TestRecord records from a server and compares the file: no secret is in it.
func TestRecord(t *testing.T) {
	t.Setenv(sdktest.RecordEnv, "1")
	const secret = "tell/no+one"
	path := filepath.Join(t.TempDir(), "new", "echo.cassette.json")
	t.Run("record", func(t *testing.T) {
		h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: sdktest.Recorded(t, path, sdktest.RecordOptions{
			Secrets: map[string]string{"token": secret, "none": ""}, Send: far(),
		})})
		converse(t, h, secret)
		told(t, h, "POST", "https://api.example.com/q", "k=tell%2Fno%2Bone&b=dGVsbC9ubytvbmU=")
	})
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(cassette, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(cassette)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("the cassette differs (write it anew with -update):\n%s", d)
	}
	for _, leak := range []string{secret, "tell%2Fno%2Bone", "dGVsbC9ubytvbmU=", "session=1", "Bearer"} {
		if bytes.Contains(got, []byte(leak)) {
			t.Errorf("%q stands in the cassette", leak)
		}
	}
}

// TestReplay plays the golden cassette with another secret.
func TestReplay(t *testing.T) {
	t.Parallel()
	const secret = "other"
	h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: sdktest.Recorded(t, cassette, sdktest.RecordOptions{
		Secrets: map[string]string{"token": secret},
	})})
	live := sdktest.NewHost(t, sdktest.HostOptions{HTTP: far()})
	if d := cmp.Diff(converse(t, live, secret), converse(t, h, secret)); d != "" {
		t.Errorf("the replay differs from the server:\n%s", d)
	}
	for want, x := range map[string][3]string{
		"201 https://api.example.com/n 32": {"GET", "https://api.example.com/n", ""}, // the last answer stays
		"404 ":                             {"PUT", "https://api.example.com/n", ""},
		"404  ":                            {"POST", "https://api.example.com/", "other body"},
	} {
		if got := told(t, h, x[0], x[1], x[2]); !strings.HasPrefix(got, strings.TrimSpace(want)) {
			t.Errorf("%v: %s; %s is wanted", x, got, want)
		}
	}
}

// TestRecordingSends records from a real server.
func TestRecordingSends(t *testing.T) {
	t.Setenv(sdktest.RecordEnv, "1")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/new", http.StatusFound)
			return
		}
		w.Header().Set("X-Seen", r.Method+r.Header.Get("Authorization"))
		_, _ = w.Write(b)
	}))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "a.cassette.json")
	t.Run("record", func(t *testing.T) {
		h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: sdktest.Recorded(t, path, sdktest.RecordOptions{})})
		if got := told(t, h, "PUT", s.URL+"/a", "hi"); got != "200 PUTBearer tell/no+one 6869" {
			t.Error(got)
		}
		if got := told(t, h, "GET", s.URL+"/old", ""); !strings.HasPrefix(got, "302") {
			t.Errorf("a redirection is followed: %s", got)
		}
		if _, err := h.HTTP(t.Context(), &sdk.Request{URL: "http://127.0.0.1:1/"}); sdk.KindOf(err) != sdk.Unavailable {
			t.Errorf("nobody listens: %v", err)
		}
	})
	t.Setenv(sdktest.RecordEnv, "0")
	h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: sdktest.Recorded(t, path, sdktest.RecordOptions{})})
	if got := told(t, h, "PUT", s.URL+"/a", "hi"); !strings.HasPrefix(got, "200 PUT") {
		t.Errorf("replayed: %s", got)
	}
}

// TestBadCassettes fails in a child process.
func TestBadCassettes(t *testing.T) {
	t.Parallel()
	const mark = "TAPPET_SDKTEST_CASSETTE"
	if path := os.Getenv(mark); path != "" {
		sdktest.Recorded(t, path, sdktest.RecordOptions{Secrets: map[string]string{"pin": "123"}})
		return
	}
	dir := t.TempDir()
	for name, x := range map[string]struct{ file, record, says string }{
		"none":      {"", "", "record it with TAPPET_RECORD=1"},
		"no JSON":   {"{", "", "read cassette"},
		"stranger":  {`{"format":1,"tracks":[]}`, "", `unknown field "tracks"`},
		"newer":     {`{"format":2}`, "", "has format 2, 1 is wanted"},
		"no base64": {`{"format":1,"exchanges":[{"request":{},"response":{"body":{"base64":"*"}}}]}`, "", "exchange 1: body"},
		"short":     {"", "1", "the secret pin has 3 bytes"},
	} {
		path := filepath.Join(dir, name)
		if x.file != "" {
			if err := os.WriteFile(path, []byte(x.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBadCassettes$")
		cmd.Env = append(os.Environ(), mark+"="+path, sdktest.RecordEnv+"="+x.record)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), x.says) {
			t.Errorf("%s: %v; %q is wanted in\n%s", name, err, x.says, out)
		}
	}
}

// TestAFailedTestWritesNoCassette, so that a good one isn't lost to a bad day.
func TestAFailedTestWritesNoCassette(t *testing.T) {
	t.Parallel()
	const mark = "TAPPET_SDKTEST_FAILED"
	if path := os.Getenv(mark); path != "" {
		h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: sdktest.Recorded(t, path, sdktest.RecordOptions{Send: far()})})
		told(t, h, "GET", "https://api.example.com/n", "")
		t.Error("on purpose")
		return
	}
	path := filepath.Join(t.TempDir(), "a")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAFailedTestWritesNoCassette$")
	cmd.Env = append(os.Environ(), mark+"="+path, sdktest.RecordEnv+"=1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "isn't written") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the cassette is there")
	}
}

// TestTheKitPlaysCassettes runs the kit on a connector whose server is a file.
func TestTheKitPlaysCassettes(t *testing.T) {
	t.Parallel()
	p := sdk.Poll("p", "P", func(ctx context.Context, h sdk.Host, c place, _ sdk.Cursor) (b sdk.Batch[thing], err error) {
		body, err := get(ctx, h, c.URL)
		if err == nil && len(body) == 1 {
			b.Add("1", thing{1})
		}
		return b, err
	})
	sdktest.Run(t, sdktest.InProcess(func() sdk.Connector { return sdk.Connector{Name: "c", Triggers: []sdk.Trigger{p}} }), sdktest.Options{
		Polls: map[string]sdktest.Poll{"p": {
			Config: json.RawMessage(`{"url":"https://api.example.com/n"}`),
			HTTP:   sdktest.Recorded(t, cassette, sdktest.RecordOptions{}),
		}},
	})
}
