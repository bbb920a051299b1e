package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// A terminal runs the program's commands in a folder, against a server.
type terminal struct {
	t   *testing.T
	dir string
	env []string
}

func newTerminal(t *testing.T, s *server) terminal {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return terminal{t, t.TempDir(), []string{"TAPPET_SERVER=" + s.URL, "TAPPET_TOKEN=" + token, "TAPPET_SDK=" + root}}
}

func (s terminal) command(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := command(s.t, binary(s.t), args...)
	cmd.Dir, cmd.Env = s.dir, append(cmd.Env, s.env...)
	return cmd
}

// run runs a command that must succeed, and gives what it prints.
func (s terminal) run(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("tappet %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fails runs a command that must fail with what is wanted in its words.
func (s terminal) fails(want string, args ...string) {
	s.t.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		s.t.Errorf("tappet %s: %v, %q is wanted\n%s", strings.Join(args, " "), err, want, out)
	}
}

// TestPluginFromNothing goes from nothing to the first event in a running engine
// by three commands.
func TestPluginFromNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	sh := newTerminal(t, s)
	began := time.Now()
	for _, line := range []string{"plugin new hello", "plugin test hello", "plugin dev hello --events 1"} {
		at := time.Now()
		out := sh.run(strings.Fields(line)...)
		t.Logf("tappet %s: %s", line, time.Since(at).Round(10*time.Millisecond))
		if strings.Contains(line, "dev") && !strings.Contains(out, `event of hello, run `) {
			t.Errorf("no event is shown:\n%s", out)
		}
	}
	t.Logf("from nothing to the first event: %s", time.Since(began).Round(10*time.Millisecond))
	sh.fails("file exists", "plugin", "new", "hello")
	if out := sh.run("plugin", "list"); !strings.Contains(out, "hello  0.1.0    wasm  ready") {
		t.Errorf("list:\n%s", out)
	}
	if out := sh.run("plugin", "logs", "hello"); !strings.Contains(out, "tick at=") {
		t.Errorf("logs:\n%s", out)
	}
	g, err := s.Graph(t.Context(), "hello")
	if err != nil || !g.Active {
		t.Errorf("the graph: %+v, %v", g, err)
	}

	sh.fails("graphs use it: hello", "plugin", "remove", "hello")
	sh.run("plugin", "disable", "hello")
	s.plugin(t, "hello", "disabled")
	sh.run("plugin", "enable", "hello")
	s.plugin(t, "hello", "ready")
	sh.upgrade(s)
	sh.run("plugin", "remove", "hello", "--force")
	if found, err := s.Plugins(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("after the removal: %v, %v", found, err)
	}
}

// TestPluginTestTriesWhatIsBuilt has a plugin that breaks a promise as a module
// alone: the tests of its source pass, and plugin test tells.
func TestPluginTestTriesWhatIsBuilt(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sh := terminal{t, t.TempDir(), []string{"TAPPET_SDK=" + root}}
	sh.run("plugin", "new", "hello")
	for name, key := range map[string]string{"key.go": "at", "key_wasip1.go": `""`} {
		tag := "!wasip1"
		if name == "key_wasip1.go" {
			tag = "wasip1"
		}
		text := "//go:build " + tag + "\n\npackage main\n\nfunc key(at string) string { return " + key + " }\n"
		if err := os.WriteFile(filepath.Join(sh.dir, "hello", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(sh.dir, "hello", "main.go")
	source := strings.Replace(string(content(t, path)), "at.Format(time.RFC3339)", "key(at.Format(time.RFC3339))", 1)
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := sh.command("plugin", "test", "hello").CombinedOutput()
	said := string(out)
	const promise = "/poll_tick/events_are_keyed_JSON_that_fits_the_schema"
	if err == nil || !strings.Contains(said, "--- FAIL: TestConformance/hello.wasm"+promise) ||
		strings.Contains(said, "--- FAIL: TestConformance/in_process") || strings.Contains(said, "--- FAIL: TestConformance/hello ") {
		t.Errorf("%v\n%s", err, said)
	}
}

// upgrade changes the plugin: by a field more, by a need, and by a field less.
func (s terminal) upgrade(srv *server) {
	s.t.Helper()
	path := filepath.Join(s.dir, "hello", "main.go")
	source := string(content(s.t, path))
	edit := func(old, now string) {
		s.t.Helper()
		if source = strings.Replace(source, old, now, 1); !strings.Contains(source, now) {
			s.t.Fatalf("%q is not in the skeleton", old)
		}
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	const module = "hello/build/hello.wasm"
	edit("`json:\"at\" title:\"At\"`\n", "`json:\"at\" title:\"At\"`\n\tMood string `json:\"mood,omitempty\"`\n")
	s.run("plugin", "build", "hello")
	out := s.run("plugin", "install", module)
	for _, want := range []string{"added   triggers.tick event.mood string", "graph hello (ON): gains", "published anew with it: hello"} {
		if !strings.Contains(out, want) {
			s.t.Errorf("an upgrade: %q is wanted\n%s", want, out)
		}
	}
	edit("// To call a service", "Needs: sdk.Needs{HTTP: []string{\"api.example.com\"}},\n\t\t// To call a service")
	s.run("plugin", "build", "hello")
	s.fails("nothing was installed", "plugin", "install", module)
	before, err := srv.Plugin(s.t.Context(), "hello")
	if err != nil || len(before.Needs.HTTP) != 0 {
		s.t.Errorf("before the grant: %+v, %v", before, err)
	}
	yes := s.command("plugin", "install", module)
	yes.Stdin = strings.NewReader("y\n")
	if out, err := yes.CombinedOutput(); err != nil || !strings.Contains(string(out), "HTTP to api.example.com") {
		s.t.Errorf("granted: %v\n%s", err, out)
	}
	s.run("plugin", "rollback", "hello")
	if p, err := srv.Plugin(s.t.Context(), "hello"); err != nil || p.Digest != before.Digest {
		s.t.Errorf("rolled back: %+v, %v", p, err)
	}
	edit("Text string ", "Words string ")
	edit("Tick{Text:", "Tick{Words:")
	edit("json:\"text\"", "json:\"words\"")
	s.run("plugin", "build", "hello")
	s.fails("it breaks graphs that are ON: hello", "plugin", "install", "--grant", module)
	if out := s.run("plugin", "install", "--dry-run", module); !strings.Contains(out, "graph hello (ON): breaks") || !strings.Contains(out, "unknown field text") {
		s.t.Errorf("a dry run:\n%s", out)
	}
}

// TestPluginInstallRefuses gives each bad file a clear error.
func TestPluginInstallRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	sh := newTerminal(t, s)
	put := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(sh.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, tt := range map[string][2]string{
		"text.wasm":   {"hello", "neither a WebAssembly module"},
		"empty.wasm":  {"", "empty.wasm is empty"},
		"half.wasm":   {"\x00asm\x01\x00\x00\x00", "no memory named memory|no Tappet plugin|no function _start"},
		"foreign":     {"\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\x16\x00" + strings.Repeat("\x00", 100), "a program for s390x"},
		"script":      {"#!/bin/sh\nexit 0\n", "ended before it served: exit status 0"},
		"printing":    {"#!/bin/sh\necho hello\n", `printed "hello" to standard output`},
		"archive.tar": {"hello", "read the OCI layout archive.tar"},
	} {
		out, err := sh.command("plugin", "install", "--grant", put(name, tt[0])).CombinedOutput()
		ok := false
		for _, want := range strings.Split(tt[1], "|") {
			ok = ok || strings.Contains(string(out), want)
		}
		if err == nil || !ok {
			t.Errorf("%s: %v, %q is wanted\n%s", name, err, tt[1], out)
		}
	}
	if err := os.WriteFile(filepath.Join(sh.dir, "feed.wasm"), content(t, build(t, feedPlugin, "GOOS=wasip1 GOARCH=wasm", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	sh.fails("it isn't the file that was meant", "plugin", "install", "--grant", "--digest", strings.Repeat("0", 64), "feed.wasm")
	sh.fails("a token is needed", "plugin", "list", "--token", "")
	if found, err := s.Plugins(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("something was installed: %+v, %v", found, err)
	}
	if _, err := s.AcceptPlugin(t.Context(), "nobody", client.InstallOptions{}); !client.Is(err, "not_found") {
		t.Errorf("%v", err)
	}
}
