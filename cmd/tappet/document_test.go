//go:build unix

package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docBlock is one fenced block of a document.
//
// What the fenced blocks of README.md and docs/*.md mean to this test:
//
//	sh            commands, run in order in one shell of the document
//	console       what the sh block above printed, "…" standing for anything
//	json          the same for JSON: members that aren't shown don't count
//	yaml          a graph; it must be valid on the running server
//	yaml steps    the steps of one
//	yaml refused  a graph that must have problems
//	go            a program that must build
//	text, ini, expr, json event    nothing here
//
// A file's name behind the language writes the block to that file. A sh block
// that only reads is repeated until it shows what is wanted.
type docBlock struct {
	lang, info string
	text       string
	line       int
}

// docBlocks reads the fenced blocks of a Markdown file.
func docBlocks(tb testing.TB, path string) []docBlock {
	tb.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var (
		out  []docBlock
		open *docBlock
	)
	for i, line := range strings.Split(string(src), "\n") {
		info, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			lang, rest, _ := strings.Cut(info, " ")
			if lang == "" {
				tb.Errorf("%s:%d: the block has no language", path, i+1)
			}
			open = &docBlock{lang: lang, info: rest, line: i + 1}
		case isFence:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		tb.Errorf("%s:%d: the block isn't closed", path, open.line)
	}
	return out
}

// onlyReads says whether a block can be repeated.
func onlyReads(text string) bool {
	return strings.Contains(text, "curl ") &&
		!regexp.MustCompile(`curl[^|]* (-X|-d|-T|--data\S*)\b|\b(make|cp|rm|mv|mkdir) | > `).MatchString(text)
}

// A shell runs the sh blocks of one document, so that what one sets the next
// one knows.
type shell struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// endMark stands on the line after a block's output, with its exit status.
const endMark = "=== end of the block"

func newShell(tb testing.TB, r *docRun) *shell {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 5*patience)
	cmd := exec.CommandContext(ctx, "bash", "--norc", "-s")
	cmd.Dir, cmd.Env = r.dir, r.env
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil && ctx.Err() != nil {
			tb.Errorf("the shell didn't end: %v", err)
		}
		cancel()
	})
	s := &shell{in: in, out: bufio.NewReader(out)}
	s.run(tb, `make() { command make --no-print-directory -C "$ROOT" "$@"; }`)
	return s
}

// run runs a block and gives what it has printed, and its exit status.
func (s *shell) run(tb testing.TB, text string) (out string, status string) {
	tb.Helper()
	if _, err := fmt.Fprintf(s.in, "{\n%s\n} </dev/null 2>&1\nprintf '\\n%s %%s\\n' $?\n", text, endMark); err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			tb.Fatalf("the shell has ended: %v\n%s", err, b.String())
		}
		if status, ok := strings.CutPrefix(line, endMark); ok {
			return b.String(), strings.TrimSpace(status)
		}
		b.WriteString(line)
	}
}

// matchBlock compares what a sh block printed with the block below it. Without
// one, only the exit status counts.
func matchBlock(want docBlock, got, status string) error {
	switch want.lang {
	case "console":
		return matchText(want.text, got)
	case "json":
		return matchJSON(want.text, got)
	}
	if status != "0" {
		return fmt.Errorf("exit status %s:\n%s", status, got)
	}
	return nil
}

// dropMake leaves out what make itself prints.
func dropMake(out string) string {
	lines := slices.DeleteFunc(strings.Split(out, "\n"), func(l string) bool {
		return strings.HasPrefix(l, "make") || strings.HasPrefix(l, "CGO_ENABLED=0 ") || strings.HasPrefix(l, "./bin/tappet ")
	})
	return strings.Join(lines, "\n")
}

// matchText compares line by line; "…" stands for anything in a line, and as a
// line for any lines.
func matchText(want, got string) error {
	var re strings.Builder
	re.WriteString(`\A`)
	for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
		if strings.TrimSpace(line) == "…" {
			re.WriteString(`(?:.*\n)*?`)
			continue
		}
		re.WriteString(anything(strings.TrimRight(line, " ")) + ` *\n`)
	}
	re.WriteString(`\z`)
	if !regexp.MustCompile(re.String()).MatchString(strings.TrimSpace(got) + "\n") {
		return fmt.Errorf("it printed\n%s\nthe document shows\n%s", got, want)
	}
	return nil
}

// anything is a pattern in which "…" stands for anything in a line.
func anything(s string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(s), "…", ".*")
}

// matchJSON compares the members that the document shows.
func matchJSON(want, got string) error {
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		return fmt.Errorf("the document's JSON: %w", err)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return fmt.Errorf("it printed no JSON: %w\n%s", err, got)
	}
	if err := holds("", w, g); err != nil {
		return fmt.Errorf("%w\nit printed\n%s", err, got)
	}
	return nil
}

// holds says where got lacks what want shows.
func holds(at string, want, got any) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: it is %v, an object is shown", at, got)
		}
		for name, v := range w {
			x, ok := g[name]
			if !ok {
				return fmt.Errorf("%s/%s: it isn't there", at, name)
			}
			if err := holds(at+"/"+name, v, x); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if n := len(w); n > 0 && w[n-1] == "…" && len(g) >= n-1 {
			w, g = w[:n-1], g[:n-1]
		}
		if !ok || len(w) != len(g) {
			return fmt.Errorf("%s: it is %v, %d items are shown", at, got, len(w))
		}
		for i := range w {
			if err := holds(fmt.Sprintf("%s/%d", at, i), w[i], g[i]); err != nil {
				return err
			}
		}
		return nil
	case string:
		if g, ok := got.(string); ok && regexp.MustCompile(`(?s)\A`+anything(w)+`\z`).MatchString(g) {
			return nil
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("%s: it is %v, %v is shown", at, got, want)
	}
	return nil
}

func TestDocumentComparison(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lang, want, got string
		ok              bool
	}{
		{"console", "a … c\n", "a b c\n", true},
		{"console", "a … c\n", "a b d\n", false},
		{"console", "a\n…\nc\n", "a\nb\nb\nc\n", true},
		{"console", "a\n", "a\nb\n", false},
		{"json", `{"a": 1, "b": ["x…", "…"]}`, `{"a":1,"b":["xy",2,3],"c":true}`, true},
		{"json", `{"a": 1}`, `{"a":2}`, false},
		{"json", `{"a": null}`, `{}`, false},
		{"json", `{"b": ["x"]}`, `{"b":["x","y"]}`, false},
		{"json", `{"a": 1}`, `no JSON`, false},
		{"", "", "it ended well", true},
	} {
		err := matchBlock(docBlock{lang: c.lang, text: c.want}, c.got, "0")
		if (err == nil) != c.ok {
			t.Errorf("%s %q and %q: %v", c.lang, c.want, c.got, err)
		}
	}
	if matchBlock(docBlock{}, "", "1") == nil {
		t.Error("exit status 1 passes")
	}
}
