package main_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// withAssemblyScript puts the compiler that .ci/deps installs on the PATH.
func (s terminal) withAssemblyScript() terminal {
	s.t.Helper()
	if _, err := exec.LookPath("asc"); err == nil {
		return s
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		s.t.Fatal(err)
	}
	bin := filepath.Join(cache, "tappet-test", "assemblyscript", "node_modules", ".bin")
	if _, err := os.Stat(filepath.Join(bin, "asc")); err != nil {
		s.t.Skip("asc, the compiler of AssemblyScript, is missing: .ci/deps installs it")
	}
	s.env = append(s.env, "PATH="+os.Getenv("PATH")+string(os.PathListSeparator)+bin)
	return s
}

// TestPluginInOtherLanguages goes from nothing to the first event in C and in
// AssemblyScript.
func TestPluginInOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"c", "assemblyscript"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			s := start(t, "")
			sh := newTerminal(t, s)
			if lang == "assemblyscript" {
				sh = sh.withAssemblyScript()
			} else if _, err := exec.LookPath("wasm-ld"); err != nil {
				t.Skip("wasm-ld is missing: .ci/deps installs it")
			}
			sh.run("plugin", "new", "hello", "--lang", lang)
			if out := sh.run("plugin", "test", "hello"); !strings.Contains(out, "hello 0.1.0 describes itself well\n  trigger hello.tick") {
				t.Error(out)
			}
			if out := sh.run("plugin", "dev", "hello", "--events", "1"); !strings.Contains(out, `{"count":1}`) {
				t.Error(out)
			}
			sh.run("plugin", "build", "hello", "--layout", "1.0.0")
			if out := sh.run("plugin", "install", "hello/build/hello.oci"); !strings.Contains(out, "hello 0.1.0 is ready (wasm, hello.wasm)") {
				t.Error(out)
			}
		})
	}
}

func TestPluginNewRefuses(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sh := terminal{t, t.TempDir(), []string{"TAPPET_SDK=" + root}}
	sh.fails("use go, c or assemblyscript", "plugin", "new", "hello", "--lang", "cobol")
	sh.fails("is no name of a plugin", "plugin", "new", "Hello")
	sh.fails("holds no source of a plugin", "plugin", "build")
	for lang, want := range map[string]string{
		"c": "install lld", "assemblyscript": "npm install --save-dev assemblyscript", "go": "see https://go.dev/dl",
	} {
		sh.run("plugin", "new", "in_"+lang, "--lang", lang)
		poor := sh
		poor.env = append(poor.env, "PATH="+t.TempDir())
		poor.fails(want, "plugin", "build", "in_"+lang)
	}
}

// TestPluginOfARelease builds the program as a release is, whose plugins require
// its version.
func TestPluginOfARelease(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "tappet")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w -X main.version=v1.2.3", "-o", bin, "github.com/tappet-dev/tappet/cmd/tappet").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	cmd := command(t, bin, "plugin", "new", "hello")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mod := string(content(t, filepath.Join(dir, "hello", "go.mod")))
	if !strings.Contains(mod, "\nrequire github.com/tappet-dev/tappet v1.2.3\n") || strings.Contains(mod, "replace") || !strings.HasPrefix(mod, "module hello\n") {
		t.Errorf("go.mod of a release:\n%s", mod)
	}
	// The control: another build, and a release that is told to, use a checkout.
	for name, bin := range map[string]string{"development": binary(t), "told": bin} {
		cmd := command(t, bin, "plugin", "new", name)
		root, err := filepath.Abs("../..")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Dir, cmd.Env = dir, append(cmd.Env, "TAPPET_SDK="+root)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if mod := string(content(t, filepath.Join(dir, name, "go.mod"))); !strings.Contains(mod, "replace github.com/tappet-dev/tappet => ") {
			t.Errorf("%s:\n%s", name, mod)
		}
	}
}

// TestPluginDevGoesOn breaks a plugin's source while it is developed and mends it
// again, with a reader of its log beside.
func TestPluginDevGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	sh := newTerminal(t, s)
	sh.run("plugin", "new", "hello")
	path := filepath.Join(sh.dir, "hello", "graph.yaml")
	// Faster than the skeleton's ten seconds, so that each build has an event.
	if err := os.WriteFile(path, []byte(strings.Replace(string(content(t, path)), "10s", "1s", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(sh.dir, "hello", "main.go")
	source := strings.ReplaceAll(string(content(t, path)), "10 * time.Second", "time.Second")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(source)
	dev := sh.follow("plugin", "dev", "hello")
	dev("is ready")
	dev("event of hello")
	logs := sh.follow("plugin", "logs", "-f", "hello")
	logs("tick at=")
	write(strings.Replace(source, "batch.Add(", "batch.Ad(", 1))
	dev("batch.Ad undefined")
	dev("event of hello") // what was installed before serves on
	// A package below it is source too, from the moment it is there.
	below := func(text string) {
		t.Helper()
		dir := filepath.Join(sh.dir, "hello", "internal", "words")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "words.go"), []byte("package words\n\nconst Text = \""+text+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	below("mended")
	source = strings.Replace(source, "import (\n", "import (\n\t\"hello/internal/words\"\n", 1)
	source = strings.Replace(source, "Text: cfg.Greeting", "Text: words.Text", 1)
	write(strings.Replace(source, `"tick", "at"`, `"tock", "at"`, 1))
	dev(`"text":"mended"`)
	logs("tock at=")
	below("mended below")
	dev(`"text":"mended below"`)
}

// follow starts a command that goes on, and gives a function that reads what it
// prints up to a line with a text in it.
func (s terminal) follow(args ...string) (until func(text string)) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*patience)
	cmd := s.command(args...)
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	_ = w.Close() // the command's now
	context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(os.Interrupt) })
	s.t.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("tappet %s ended with %v, though Ctrl-C is its end", strings.Join(args, " "), err)
		}
		_ = r.Close()
	})
	lines := bufio.NewScanner(r)
	var said []string
	return func(text string) {
		s.t.Helper()
		for lines.Scan() {
			said = append(said, lines.Text())
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		s.t.Fatalf("tappet %s never said %q:\n%s", strings.Join(args, " "), text, strings.Join(said, "\n"))
	}
}
