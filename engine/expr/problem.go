package expr

import (
	"fmt"
	"strings"
)

// Codes of problems; stable, for programs.
const (
	CodeSyntax          = "syntax"           // the parser can't read it
	CodeTooLarge        = "too_large"        // a limit of the source is exceeded
	CodeUTF8            = "utf8"             // the source isn't valid UTF-8
	CodeUnclosed        = "unclosed"         // ${{ without }}
	CodeUnknownName     = "unknown_name"     // a name that isn't in scope
	CodeUnknownField    = "unknown_field"    // a field that a closed object lacks
	CodeUnknownFunction = "unknown_function" // a function that isn't in the library
	CodeArguments       = "arguments"        // the wrong number or form of arguments
	CodeType            = "type"             // a value of a kind that doesn't fit
	CodeMaybeNull       = "maybe_null"       // a value that may be absent where one is needed
	CodeEnum            = "enum"             // a text that isn't one of the possible ones
	CodeDuplicate       = "duplicate"        // a name or key for the second time
	CodeRegexp          = "regexp"           // a regular expression that can't be compiled
	CodeSecret          = "secret"           // a secret where it would become text
	CodeUnsupported     = "unsupported"      // syntax of expr-lang that isn't allowed here
	CodeAlwaysFails     = "always_fails"     // a part that needs no data and fails
	CodeForeign         = "foreign"          // a habit from another language; see Warnings
)

// A Problem is one thing that is wrong with a source.
type Problem struct {
	// Line and Column count from 1, in runes, in the source given to Compile,
	// Text or Expr.
	Line, Column int
	// Code is one of the Code constants.
	Code string
	// Message says what is wrong, Hint what would be right; Hint may be empty.
	Message, Hint string
}

// String gives place, message and hint on one line.
func (p Problem) String() string {
	s := fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message)
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// An Error is why an evaluation gave no value.
type Error struct {
	// Pointer is the place in the value tree of a Template, a JSON pointer
	// (RFC 6901); empty for its root and for a Program.
	Pointer string
	// Line and Column count from 1, in runes, in that place's source; 0 when
	// the error belongs to the value and not to a part of the source.
	Line, Column int
	// Message is for people.
	Message string
	// Limit: one of the Limits was exceeded.
	Limit bool
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Pointer != "" {
		b.WriteString(e.Pointer)
		b.WriteString(": ")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", e.Line, e.Column)
	}
	b.WriteString(e.Message)
	return b.String()
}

// position gives line and column of the rune with index at, both from 1.
func position(src string, at int) (line, column int) {
	line, column = 1, 1
	i := 0
	for _, r := range src {
		if i == at {
			break
		}
		if r == '\n' {
			line++
			column = 1
		} else {
			column++
		}
		i++
	}
	return line, column
}

func quoted(s string) string { return `"` + s + `"` }

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "did you mean " + quoted(name) + "?"
}
