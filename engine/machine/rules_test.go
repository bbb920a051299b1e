package machine_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

var rewrite = flag.Bool("rewrite", false, "write the scripts' answers into testdata")

// TestRules plays the scripts of testdata, one file for each rule of
// semantics.md. A file is a list of parts, each of them a title, a program (see
// builder) and facts:
//
//	## title
//	step a use http.post
//	> accept {"n":1}
//	> +5s settle a {"ok":true}
//	> settle a {"ok":true} input=changed
//	> fail a unavailable retryable after=3s
//	> fire a#2!again
//	> cancel
//
// What the facts give is written by -rewrite.
func TestRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playFile(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got, -rewrite writes it)\n%s", diff)
			}
		})
	}
}

func playFile(t *testing.T, src string) string {
	t.Helper()
	head, rest, _ := strings.Cut(src, "\n## ")
	out := head + "\n"
	for part := range strings.SplitSeq(rest, "\n## ") {
		out += "## " + playPart(t, part)
	}
	return strings.TrimRight(out, "\n") + "\n"
}

// playPart keeps title, program and facts, and writes what they give.
func playPart(t *testing.T, part string) string {
	t.Helper()
	head, facts, _ := strings.Cut(part, "\n> ")
	_, src, _ := strings.Cut(head, "\n")
	p := mustProgram(t, src)
	s := &script{p: p, m: newMachine(p), at: 1000}
	var b strings.Builder
	b.WriteString(head + "\n")
	for line := range strings.Lines("> " + facts) {
		if line = strings.TrimRight(line, "\n"); !strings.HasPrefix(line, "> ") {
			continue
		}
		b.WriteString(line + "\n")
		f, err := s.fact(line[2:])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		cs := s.m.Apply(f)
		s.journal = append(s.journal, f)
		for _, c := range cs {
			b.WriteString("  " + show(c) + "\n")
		}
		if len(cs) == 0 {
			b.WriteString("  nothing\n")
		}
		wantReplay(t, p, s.journal, s.m)
	}
	state, _, _ := s.m.State()
	fmt.Fprintf(&b, "= %s", state)
	if open := s.m.Open(); len(open) > 0 {
		fmt.Fprintf(&b, ", open %v", open)
	}
	b.WriteString("\n")
	for _, v := range s.m.Steps() {
		fmt.Fprintf(&b, "= %s %s\n", v.ID, showStep(v))
	}
	return b.String() + "\n"
}

func newMachine(p *program.Program) *machine.Machine {
	return machine.New(p, machine.Run{ID: "run-1", Version: 3, Attempt: 1})
}

// wantReplay replays a journal and wants the state of the live machine.
func wantReplay(t rapid.TB, p *program.Program, journal []machine.Fact, live *machine.Machine) {
	t.Helper()
	m := newMachine(p)
	for _, f := range journal {
		m.Apply(f)
	}
	if diff := cmp.Diff(live.Dump(), m.Dump()); diff != "" {
		t.Fatalf("replay (-live +replay)\n%s", diff)
	}
}

type script struct {
	p       *program.Program
	m       *machine.Machine
	at      machine.Millis
	journal []machine.Fact
}

// fact reads a line such as "+5s fail a timeout retryable after=3s".
func (s *script) fact(line string) (machine.Fact, error) {
	words := strings.Fields(line)
	if strings.HasPrefix(words[0], "+") {
		d, err := time.ParseDuration(words[0][1:])
		if err != nil {
			return machine.Fact{}, err
		}
		s.at += machine.Millis(d.Milliseconds())
		words = words[1:]
	}
	f := machine.Fact{At: s.at}
	if len(words) > 1 && words[0] != "accept" {
		f.Key = machine.Key(words[1])
	}
	switch words[0] {
	case "accept":
		f.Of = &machine.Accepted{Event: json.RawMessage(words[1])}
	case "fire":
		f.Of = &machine.Fired{}
	case "cancel":
		f.Of = &machine.Cancel{}
	case "settle":
		of := &machine.Settled{}
		f.Of = of
		if len(words) > 2 {
			of.Output = json.RawMessage(words[2])
		}
		if e := s.m.Effect(f.Key); e != nil {
			of.Input = e.Digest
		}
		if words[len(words)-1] == "input=changed" {
			of.Input++
		}
	case "fail":
		err := &machine.Error{Kind: words[2], Message: "it is " + words[2]}
		for _, w := range words[3:] {
			if name, v, _ := strings.Cut(w, "="); name == "after" {
				d, bad := time.ParseDuration(v)
				if bad != nil {
					return f, bad
				}
				err.RetryAfter = d.Milliseconds()
			} else {
				err.Retryable = w == "retryable"
			}
		}
		f.Of = &machine.Settled{Err: err}
	default:
		return f, errors.New("unknown fact")
	}
	return f, nil
}

func show(c machine.Command) string {
	switch c := c.(type) {
	case *machine.Effect:
		s := fmt.Sprintf("effect %s %s attempt %d key %s", c.Key, c.Action, c.Attempt, c.Idempotency[:8])
		if c.Timeout > 0 {
			s += " timeout " + c.Timeout.String()
		}
		if c.FailUnknown {
			s += " fail_unknown"
		}
		for _, f := range c.Input {
			s += fmt.Sprintf(" %s=%s", f.Name, f.Value)
		}
		return s
	case *machine.Timer:
		return fmt.Sprintf("timer %s %s", c.Key, c.Delay)
	case *machine.Answer:
		return fmt.Sprintf("answer %s %d %q %s", c.Key, c.Status, c.Headers, c.Body)
	case *machine.Withdraw:
		return fmt.Sprintf("withdraw %s", c.Key)
	case *machine.End:
		s := "end " + string(c.State)
		if c.Result != nil {
			s += " " + string(c.Result)
		}
		return s + showError(c.Err)
	}
	return fmt.Sprintf("%T", c)
}

func showError(e *machine.Error) string {
	if e == nil {
		return ""
	}
	s := " because " + e.Kind
	if e.Step != "" {
		s += " of " + e.Step
	}
	if e.Pointer != "" {
		s += " at " + e.Pointer
	}
	return s + ": " + e.Message
}

func showStep(v machine.StepView) string {
	s := string(v.Status)
	if v.OnFailure {
		s = "on failure " + s
	}
	if v.Handled {
		s += " handled"
	}
	if v.Attempts > 1 {
		s += " attempts " + strconv.Itoa(v.Attempts)
	}
	if v.Output != nil {
		s += " " + string(v.Output)
	}
	if v.Status != machine.StepPending && v.Status != machine.StepSkipped {
		s += fmt.Sprintf(" from %d to %d", v.Started, v.Ended)
	}
	s += showError(v.Err)
	for _, w := range v.Warnings {
		s += " warning: " + w
	}
	return s
}
