package machine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
)

// scope is what program gives to every step, untyped.
func scope() *expr.Scope {
	return expr.NewScope(
		expr.Var{Name: "trigger", Type: expr.Any()},
		expr.Var{Name: "steps", Type: expr.Any()},
		expr.Var{Name: "step", Type: expr.Any(), Call: true},
		expr.Var{Name: "run", Type: expr.Any()},
		expr.Var{Name: "graph", Type: expr.Any()},
		expr.Var{Name: "error", Type: expr.Any()},
	)
}

// A builder makes a program of its text:
//
//	timeout 1h
//	step a use http.post
//	  after -
//	  if trigger.ok
//	  retry attempts=3 initial=1s multiplier=2 max=5s jitter=0.5 elapsed=10s on=timeout,unavailable
//	  timeout 5s
//	  on_error continue
//	  on_unknown fail
//	  with n = ${{ trigger.n }}
//	step b set ${{ steps.a }}
//	step c respond
//	  status 201
//	  headers {"X-A": trigger.a}
//	  body 7
//	failure
//	step d use http.post
//
// The steps behind the word failure are of on_failure.
//
// A value that is JSON is a literal.
type builder struct {
	tb   rapid.TB
	p    *program.Program
	list *program.List
	last *program.Step
}

// mustProgram builds the program that src describes.
func mustProgram(tb rapid.TB, src string) *program.Program {
	tb.Helper()
	top := &program.List{}
	b := &builder{tb: tb, p: &program.Program{Name: "g", Top: top, ByID: map[string]*program.Step{}}, list: top}
	for line := range strings.Lines(src) {
		if line = strings.TrimRight(line, "\n"); line == "" || line[0] == '#' {
			continue
		}
		if err := b.line(line); err != nil {
			tb.Fatalf("program line %q: %v", line, err)
		}
	}
	for _, l := range lists(b.p) {
		for i, s := range l.Steps {
			if len(s.Preds) == 0 {
				l.First = append(l.First, i)
			}
			for _, q := range s.Preds {
				l.Steps[q].Succs = append(l.Steps[q].Succs, i)
			}
		}
	}
	return b.p
}

// lists gives the lists of a program.
func lists(p *program.Program) []*program.List {
	if p.Failure == nil {
		return []*program.List{p.Top}
	}
	return []*program.List{p.Top, p.Failure}
}

func (b *builder) line(line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	var err error
	if line[0] == ' ' {
		return b.part(word, rest)
	}
	switch word {
	case "timeout":
		b.p.Timeout, err = time.ParseDuration(rest)
		return err
	case "step":
		return b.step(rest)
	case "failure":
		b.p.Failure = &program.List{}
		b.list = b.p.Failure
		return nil
	}
	return fmt.Errorf("unknown word %q", word)
}

func (b *builder) step(rest string) error {
	id, rest, _ := strings.Cut(rest, " ")
	verb, rest, _ := strings.Cut(rest, " ")
	n, at := len(b.list.Steps), "/steps/"
	if b.list != b.p.Top {
		at = "/on_failure/"
	}
	s := &program.Step{ID: id, Pointer: at + strconv.Itoa(n), Slot: b.p.Slots, Output: expr.Any()}
	if n > 0 {
		s.Preds = []int{n - 1}
	}
	switch verb {
	case "use":
		s.Verb, s.Action = program.Use, rest
	case "set":
		s.Verb, s.Set = program.Set, b.value(rest)
	case "respond":
		s.Verb = program.Respond
	default:
		return fmt.Errorf("unknown verb %q", verb)
	}
	b.list.Steps = append(b.list.Steps, s)
	b.p.Slots, b.p.ByID[id], b.last = b.p.Slots+1, s, s
	return nil
}

func (b *builder) part(word, rest string) error {
	s := b.last
	var err error
	switch word {
	case "after":
		s.Preds = nil
		for _, id := range strings.Fields(rest) {
			if id != "-" {
				s.Preds = append(s.Preds, slices.Index(b.list.Steps, b.p.ByID[id]))
			}
		}
	case "if":
		s.If = b.expr(rest)
	case "retry":
		return b.retry(rest)
	case "timeout":
		s.Timeout, err = time.ParseDuration(rest)
	case "on_error":
		s.Continue = rest == "continue"
	case "on_unknown":
		if rest == "fail" {
			s.OnUnknown = program.UnknownFail
		}
	case "with":
		name, src, _ := strings.Cut(rest, " = ")
		s.With = append(s.With, program.Field{Name: name, Value: b.value(src)})
	case "status":
		s.Answer.Status = b.value(rest)
	case "headers":
		s.Answer.Headers = b.expr(rest)
	case "body":
		s.Answer.Body = b.value(rest)
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return err
}

func (b *builder) retry(rest string) error {
	r := &program.Retry{Multiplier: 1}
	b.last.Retry = r
	for _, f := range strings.Fields(rest) {
		name, v, _ := strings.Cut(f, "=")
		var err error
		switch name {
		case "attempts":
			r.MaxAttempts, err = strconv.Atoi(v)
		case "initial":
			r.InitialInterval, err = time.ParseDuration(v)
		case "multiplier":
			r.Multiplier, err = strconv.ParseFloat(v, 64)
		case "max":
			r.MaxInterval, err = time.ParseDuration(v)
		case "jitter":
			r.Jitter, err = strconv.ParseFloat(v, 64)
		case "elapsed":
			r.MaxElapsed, err = time.ParseDuration(v)
		case "on":
			r.On = strings.Split(v, ",")
		default:
			err = fmt.Errorf("unknown word %q", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) value(src string) *expr.Template {
	b.tb.Helper()
	if json.Valid([]byte(src)) {
		return expr.Literal([]byte(src))
	}
	t, ps := expr.Text(src, scope())
	b.check(src, ps)
	return t
}

func (b *builder) expr(src string) *expr.Template {
	b.tb.Helper()
	if json.Valid([]byte(src)) {
		return expr.Literal([]byte(src))
	}
	t, ps := expr.Expr(src, scope())
	b.check(src, ps)
	return t
}

func (b *builder) check(src string, ps []expr.Problem) {
	b.tb.Helper()
	if len(ps) > 0 {
		b.tb.Fatalf("expression %s: %v", src, ps)
	}
}
