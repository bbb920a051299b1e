package expr

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

const maxRegexpSource = 1024

// compileRegexp compiles a pattern of at most limit instructions and gives
// their number: matching takes at most that many steps for each byte. The
// error says what is wrong with the pattern.
func compileRegexp(pattern string, limit int) (re *regexp.Regexp, size int, err error) {
	if len(pattern) > maxRegexpSource {
		return nil, 0, fmt.Errorf("a regular expression of %d bytes; at most %d are allowed", len(pattern), maxRegexpSource)
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, 0, fmt.Errorf("a regular expression that can't be read: %w", err)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, 0, fmt.Errorf("a regular expression that can't be compiled: %w", err)
	}
	if len(prog.Inst) > limit {
		return nil, 0, fmt.Errorf("a regular expression of %d instructions; at most %d are allowed (limits.expr_regexp)", len(prog.Inst), limit)
	}
	re, err = regexp.Compile(pattern)
	if err != nil {
		return nil, 0, fmt.Errorf("a regular expression that can't be compiled: %w", err)
	}
	return re, len(prog.Inst), nil
}

// pattern is a regular expression that was compiled, and its size in
// instructions.
type pattern struct {
	src  string
	re   *regexp.Regexp
	size int
}

// pattern compiles a regular expression, unless it is one that was compiled with
// the expression or is the last one again.
func (f *frame) pattern(v any) (*regexp.Regexp, int) {
	if p, ok := v.(*pattern); ok {
		return p.re, p.size
	}
	s := f.str(v)
	if f.re != nil && f.re.src == s {
		f.step(1)
		return f.re.re, f.re.size
	}
	f.step(2000 + 40*len(s))
	re, size, err := compileRegexp(s, f.limits.Regexp)
	if err != nil {
		f.fail("%v", err)
	}
	f.alloc(200 * size)
	f.re = &pattern{s, re, size}
	return re, size
}

// matching charges for one match of a text.
func (f *frame) matching(text string, size int) {
	f.step(1 + len(text)*size/8)
}
