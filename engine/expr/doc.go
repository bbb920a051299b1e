// Package expr is the mapping language: it types an expression, compiles it
// and evaluates it on data.
//
// The language is that of expr-lang, whose lexer, parser and syntax tree are
// the source of truth for what an expression means to its writer. What comes
// after the parser is this package's own: one pass over the tree gives the
// type and a closure, so that a wrong field is a [Problem] when the graph is
// saved and the evaluation is bounded, null-safe and deterministic.
//
// It is not a template engine for text alone ([Template] keeps the type of a
// whole expression), and it holds no data between two evaluations. A
// [Program] and a [Template] are immutable and may be used by any number of
// goroutines at once.
//
// Its one rule: it is pure. The same source, values and [Env] give the same
// bytes on each machine, whatever the values are: no clock, no randomness, no
// files, no environment, and every evaluation ends within its [Limits].
package expr

// Version is that of the evaluator. A stored version of a graph remembers it:
// a change of what an expression gives takes a new number.
const Version = 1
