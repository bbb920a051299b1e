package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// startDemo starts the demo as a stranger does, on free ports.
func startDemo(t *testing.T, data string) *server {
	t.Helper()
	cmd := command(t, binary(t), "serve", "--demo", "--data", data, "--addr", "127.0.0.1:0", "--demo-receiver", "127.0.0.1:0")
	s := launch(t, cmd, token) // its own token is made by then
	s.data = data
	printed := s.printed(t, "Ctrl-C stops it.")
	m := regexp.MustCompile(`The admin token is in (\S+): (tap_\S+)`).FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("no admin token in:\n%s", printed)
	}
	if want := filepath.Join(data, "admin.token"); m[1] != want {
		t.Errorf("it says that the token is in %s, not %s", m[1], want)
	}
	s.Client = s.as(t, m[2])
	return s
}

// printed waits until the program has printed a text, and gives all it has.
func (s *server) printed(t *testing.T, text string) (out string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q to be printed", text), func() (bool, any) {
		out = s.Output()
		return strings.Contains(out, text), out
	})
	return out
}

// as is a client with another token.
func (s *server) as(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(s.URL, token, client.Options{HTTP: &http.Client{Timeout: patience, Transport: transport(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDemo(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "demo-data")
	s := startDemo(t, data)
	out := s.printed(t, "The form app got")
	for _, want := range []string{
		"listening on " + s.URL,
		`The graph "task-completed" is ON. One event was sent to it: run `,
		" has succeeded.",
		"step entry    succeeded, POST http://127.0.0.1:",
		"→ 201 in ",
		"POST /entries?source=tappet",
		`"title": "Task Plant the apple tree is done"`,
		`"assignee": "ada@example.com"`,
		"curl -s " + s.URL + "/hooks/task-completed ",
		"Ctrl-C stops it.",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q is printed", want)
		}
	}
	wantMode(t, filepath.Join(data, "admin.token"), 0o600)

	// What it prints to be pasted does what it says.
	m := regexp.MustCompile(`curl -s (\S+) -H 'Content-Type: application/json' -d '(.*)'`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no curl line in:\n%s", out)
	}
	res, body := s.send(t, http.MethodPost, m[1], "", []byte(m[2]), "application/json")
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("the curl line gives %s: %s", res.Status, body)
	}
	if r := s.ended(t, runID(t, body)); r.State != "succeeded" {
		t.Errorf("its run has %s: %+v", r.State, r.Error)
	}
	m = regexp.MustCompile(`curl -s '(\S+)' -H 'Authorization: Bearer (\S+)'`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no second curl line in:\n%s", out)
	}
	if res, body = s.send(t, http.MethodGet, m[1], m[2], nil, ""); res.StatusCode != http.StatusOK || bytes.Count(body, []byte("succeeded")) != 2 {
		t.Errorf("the second curl line gives %s: %s", res.Status, body)
	}
	s.signal(t, os.Interrupt)
	s.wantExit(t, 0)
	before := tokenOf(t, data)

	// The second start finds data and token.
	s = startDemo(t, data)
	if tokenOf(t, data) != before {
		t.Error("the second start made another token")
	}
	p, err := s.Runs(t.Context(), client.RunQuery{Graph: "task-completed"})
	if err != nil || len(p.Items) != 3 {
		t.Errorf("the second start shows %d runs, 3 are wanted (%v)", len(p.Items), err)
	}
	if v, err := s.Versions(t.Context(), "task-completed"); err != nil || len(v) != 2 {
		// The receiver has another port, so that the document is another.
		t.Errorf("the second start has %d versions, 2 are wanted (%v)", len(v), err)
	}
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
}

func tokenOf(t *testing.T, data string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != want {
		t.Errorf("%s has mode %#o, %#o is wanted", path, st.Mode().Perm(), want)
	}
}

// send sends a request to a path of the server, or to a whole URL.
func (s *server) send(t *testing.T, method, path, token string, body []byte, contentType string) (*http.Response, []byte) {
	t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = s.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := (&http.Client{Timeout: patience, Transport: transport(t)}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

// hook sends an event, which must be accepted, and gives its run.
func (s *server) hook(t *testing.T, path, body string) string {
	t.Helper()
	res, b := s.send(t, http.MethodPost, "/hooks/"+path, "", []byte(body), "application/json")
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("POST /hooks/%s: %s: %s", path, res.Status, b)
	}
	return runID(t, b)
}

func runID(t *testing.T, answer []byte) string {
	t.Helper()
	var got struct {
		Run string `json:"run"`
	}
	if err := json.Unmarshal(answer, &got); err != nil || got.Run == "" {
		t.Fatalf("no run in the answer %q (%v)", answer, err)
	}
	return got.Run
}

// refused runs the program, which must end by itself with a code, and gives
// what it printed.
func refused(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := command(t, binary(t), args...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("tappet %s: %v, exit code %d is wanted:\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	for flag, args := range map[string][]string{
		"--addr":          {"--addr", taken, "--demo-receiver", "127.0.0.1:0"},
		"--demo-receiver": {"--addr", "127.0.0.1:0", "--demo-receiver", taken},
	} {
		out := refused(t, 1, append([]string{"serve", "--demo", "--data", filepath.Join(t.TempDir(), "data")}, args...)...)
		if want := fmt.Sprintf("tappet: the address %s is taken by another program: stop it, or choose another with %s", taken, flag); !strings.HasPrefix(out, want) {
			t.Errorf("%s: it says %q, which doesn't begin with %q", flag, out, want)
		}
	}
}

func TestTokenIsPrintedOnce(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	serve := func() *server {
		return launch(t, command(t, binary(t), "serve", "--data", data, "--addr", "127.0.0.1:0"), token)
	}
	s := serve()
	m := regexp.MustCompile(`(?m)^admin token, shown this once: (tap_\S+)$`).FindStringSubmatch(s.Output())
	if m == nil {
		t.Fatalf("the first start prints no token:\n%s", s.Output())
	}
	ask := func(s *server, token string) int {
		res, _ := s.send(t, http.MethodGet, "/api/v1/system", token, nil, "")
		return res.StatusCode
	}
	if got := ask(s, m[1]); got != http.StatusOK {
		t.Errorf("the printed token gives %d", got)
	}
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	s = serve()
	if got := ask(s, m[1]); got != http.StatusOK {
		t.Errorf("the token gives %d after the second start", got)
	}
	if got := ask(s, token); got != http.StatusUnauthorized {
		t.Errorf("another token gives %d", got)
	}
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	if out := s.Output(); strings.Contains(out, "tap_") {
		t.Errorf("the second start prints a token:\n%s", out)
	}
	// Neither is it anywhere in the folder, but as a hash.
	walk(t, data, func(path string, mode os.FileMode) {
		if mode.IsDir() {
			return
		}
		if b, err := os.ReadFile(path); err != nil || bytes.Contains(b, []byte(m[1])) {
			t.Errorf("%s holds the token (%v)", path, err)
		}
	})
}

// TestDemoOfAnotherFolder: the token of a folder that was made without --demo is
// known by its hash alone.
func TestDemoOfAnotherFolder(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := launch(t, command(t, binary(t), "serve", "--data", data, "--addr", "127.0.0.1:0"), token)
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	out := refused(t, 1, "serve", "--demo", "--data", data, "--addr", "127.0.0.1:0", "--demo-receiver", "127.0.0.1:0")
	if !strings.Contains(out, "tappet: the demo needs the admin token") || !strings.Contains(out, filepath.Join(data, "admin.token")) {
		t.Errorf("it says: %s", out)
	}
}

// walk calls each for a folder and all that is below.
func walk(t *testing.T, dir string, each func(path string, mode os.FileMode)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		each(path, st.Mode())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
