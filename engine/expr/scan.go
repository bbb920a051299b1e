package expr

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"
)

const (
	opening = "${{"
	// maxExpressions is how many expressions one text may have.
	maxExpressions = 128
)

// part is a piece of a text: literal, or an expression.
type part struct {
	text string
	expr bool
	// at and from are where an expression begins in the text, in runes and in
	// bytes.
	at, from int
}

// scan splits a text into its parts. $${{ stands for the literal ${{.
func scan(s string, limit int) ([]part, *scanError) {
	if !strings.Contains(s, opening) {
		return []part{{text: s}}, nil
	}
	var parts []part
	var text strings.Builder
	i, expressions := 0, 0
	runes := runeCounter{s: s}
	for {
		j := strings.Index(s[i:], opening)
		if j < 0 {
			text.WriteString(s[i:])
			break
		}
		j += i
		if j > i && s[j-1] == '$' {
			text.WriteString(s[i : j-1])
			text.WriteString(opening)
			i = j + len(opening)
			continue
		}
		text.WriteString(s[i:j])
		from := j + len(opening)
		n, err := closing(s[from:], limit)
		if err != nil {
			err.at += runes.at(from)
			if err.opening {
				err.at = runes.at(from) - len(opening)
			}
			return nil, err
		}
		if expressions++; expressions > maxExpressions {
			return nil, &scanError{at: runes.at(j), code: CodeTooLarge, msg: fmt.Sprintf("more than %d expressions in one text; this limit is fixed", maxExpressions), hint: "join texts in a step of its own, with set"}
		}
		if text.Len() > 0 {
			parts = append(parts, part{text: text.String()})
			text.Reset()
		}
		parts = append(parts, part{text: s[from : from+n], expr: true, at: runes.at(from), from: from})
		i = from + n + 2
	}
	if text.Len() > 0 || len(parts) == 0 {
		parts = append(parts, part{text: text.String()})
	}
	return parts, nil
}

// scanError is a problem of a text outside of its expressions, or one that
// keeps the scanner from finding an expression's end.
type scanError struct {
	at        int // in runes
	code, msg string
	hint      string
	// opening: the problem is that of the ${{.
	opening bool
}

func unclosed() *scanError {
	return &scanError{code: CodeUnclosed, msg: "${{ isn't closed by }}", hint: "a literal ${{ is written $${{", opening: true}
}

// closing gives the offset of the }} that ends the expression at the start of
// s: the first two adjacent closing braces outside of all brackets. It reads
// with expr-lang's own lexer, so that strings, comments and objects that
// contain }} are passed over.
func closing(s string, limit int) (int, *scanError) {
	window := s
	if len(window) > limit+64 {
		window = window[:limit+64]
		for len(window) > 0 && !utf8.ValidString(window) && utf8.ValidString(s) {
			window = window[:len(window)-1]
		}
	}
	lx := lexer.New()
	lx.Reset(file.NewSource(window))
	runes := byteCounter{s: window}
	depth, last := 0, -1 // last: the end of the } before, outside of brackets
	for {
		t, err := lx.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			var fe *file.Error
			if errors.As(err, &fe) {
				if len(window) < len(s) {
					break
				}
				return 0, &scanError{at: syntaxPlace(window, nil, fe), code: CodeSyntax, msg: syntaxMessage(fe.Message), hint: syntaxHint(nil, 0, fe.Message)}
			}
			return 0, &scanError{code: CodeSyntax, msg: "the expression can't be read"}
		}
		if err != nil || t.Kind == lexer.EOF {
			break
		}
		if t.Kind != lexer.Bracket {
			last = -1
			continue
		}
		switch t.Value {
		case "(", "[", "{":
			depth++
			last = -1
		case "}":
			if depth > 0 {
				depth--
				last = -1
				continue
			}
			if last == t.From {
				return runes.at(t.From - 1), nil
			}
			last = t.To
		default:
			last = -1
			if depth--; depth < 0 {
				return 0, &scanError{at: t.From, code: CodeSyntax, msg: "unexpected " + quoted(t.Value)}
			}
		}
	}
	if len(window) < len(s) {
		return 0, &scanError{code: CodeTooLarge, msg: fmt.Sprintf("the expression is longer than %d bytes (limits.expr_source), or isn't closed by }}", limit), opening: true}
	}
	return 0, unclosed()
}

// byteCounter turns ascending rune positions into byte offsets.
type byteCounter struct {
	s          string
	rune, byte int
}

func (c *byteCounter) at(r int) int {
	for c.rune < r && c.byte < len(c.s) {
		_, n := utf8.DecodeRuneInString(c.s[c.byte:])
		c.byte += n
		c.rune++
	}
	return c.byte
}

// runeCounter turns ascending byte offsets into rune positions.
type runeCounter struct {
	s          string
	rune, byte int
}

func (c *runeCounter) at(b int) int {
	if b > c.byte {
		c.rune += utf8.RuneCountInString(c.s[c.byte:b])
		c.byte = b
	}
	return c.rune
}

// Warnings tells what a text probably didn't mean, although it is valid:
// {{ x }} without the $ is plain text.
func Warnings(src string) []Problem {
	if !strings.Contains(src, "{{") {
		return nil
	}
	parts, err := scan(src, Limits{}.withDefaults().Source)
	if err != nil {
		return nil
	}
	var out []Problem
	plain := func(from, to int) {
		for i := from; i < to; {
			k := strings.Index(src[i:to], "{{")
			if k < 0 {
				return
			}
			i += k
			end := strings.Index(src[i:to], "}}")
			if end < 0 || len(out) == maxProblems {
				return
			}
			if i == 0 || src[i-1] != '$' {
				line, column := position(src, utf8.RuneCountInString(src[:i]))
				out = append(out, Problem{
					Line: line, Column: column, Code: CodeForeign,
					Message: "{{ }} without a $ is plain text", Hint: "an expression is written ${{ }}",
				})
			}
			i += end + 2
		}
	}
	at := 0
	for _, p := range parts {
		if p.expr {
			plain(at, p.from-len(opening))
			at = p.from + len(p.text) + len("}}")
		}
	}
	plain(at, len(src))
	return out
}
