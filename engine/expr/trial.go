package expr

import (
	"errors"

	"github.com/expr-lang/expr/ast"
)

// What needs no data is tried when it is compiled: a constant that can only fail
// is a problem, and not the surprise of a run. Only the largest constant parts
// are tried; what passes the small budget of a trial may be right and is left to
// the evaluation.

// trial is a part of an expression that reads nothing: no data, no clock, no
// seed.
type trial struct {
	run fn
	n   ast.Node
}

const (
	trialSteps = 20_000
	trialBytes = 256 << 10
	maxTrials  = 32
)

// constants notes n among the trials when nothing was read since there were
// reads of them and from trials.
func (c *compiler) constants(n ast.Node, run fn, reads, from int) {
	if c.varying != reads || c.probe != nil {
		return
	}
	switch n.(type) {
	case *ast.BinaryNode, *ast.UnaryNode, *ast.BuiltinNode, *ast.CallNode, *ast.MemberNode, *ast.SliceNode,
		*ast.ConditionalNode, *ast.ArrayNode, *ast.MapNode:
		c.trials = append(c.trials[:from], trial{run, n})
	}
}

// try evaluates the trials and reports those that fail.
func (c *compiler) try() {
	for _, t := range c.trials[:min(len(c.trials), maxTrials)] {
		_, err := c.attempt(t.run)
		var e *Error
		if !errors.As(err, &e) || e.Limit {
			continue
		}
		if e.Line == 0 {
			e.Line, e.Column = position(c.src, c.at(t.n))
		}
		if len(c.problems) < maxProblems {
			c.problems = append(c.problems, Problem{Line: e.Line, Column: e.Column, Code: CodeAlwaysFails, Message: e.Message})
		}
	}
}

func (c *compiler) attempt(run fn) (any, error) {
	p := &Program{run: run, src: c.src, vars: c.slots, loops: c.nesting}
	return p.Eval(&Env{Limits: c.trialLimits()})
}

func (c *compiler) trialLimits() Limits {
	l := c.limits
	l.Steps, l.Bytes = min(l.Steps, trialSteps), min(l.Bytes, trialBytes)
	return l
}

// fixed gives the JSON of an expression that reads nothing; nil when it reads
// something, fails, or takes more than a trial may.
func (c *compiler) fixed(run fn) []byte {
	if c.varying > 0 || c.probe != nil {
		return nil
	}
	t := Template{kind: expressionNode, run: run, src: c.src, vars: c.slots, loops: c.nesting}
	b, err := t.AppendJSON(nil, &Env{Limits: c.trialLimits()})
	if err != nil {
		return nil
	}
	return b
}
