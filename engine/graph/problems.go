package graph

import (
	"slices"
	"strconv"
	"strings"
)

// problems collects what is wrong, up to a limit.
type problems struct {
	list []Problem
	max  int
	// fatal: the source can't be read as a document.
	fatal bool
}

func (p *problems) add(x Problem) {
	if len(p.list) <= p.max {
		p.list = append(p.list, x)
	}
}

// full says whether another problem would not be told.
func (p *problems) full() bool { return len(p.list) > p.max }

// done gives the problems by their place in the source.
func (p *problems) done() []Problem {
	if len(p.list) > p.max {
		p.list = p.list[:p.max]
		p.list = append(sortProblems(p.list), Problem{
			Code:    "limit",
			Message: "there are more problems; only the first " + strconv.Itoa(p.max) + " are told",
		})
		return p.list
	}
	return sortProblems(p.list)
}

// sortProblems orders by line and column; those without a line keep their
// place at the end.
func sortProblems(list []Problem) []Problem {
	slices.SortStableFunc(list, func(a, b Problem) int {
		switch {
		case a.Line == 0 || b.Line == 0:
			return b.Line - a.Line
		case a.Line != b.Line:
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return list
}

// Pointer appends reference tokens to a JSON pointer (RFC 6901).
func Pointer(base string, tokens ...string) string {
	var b strings.Builder
	b.WriteString(base)
	for _, t := range tokens {
		b.WriteByte('/')
		if strings.ContainsAny(t, "~/") {
			t = strings.ReplaceAll(strings.ReplaceAll(t, "~", "~0"), "/", "~1")
		}
		b.WriteString(t)
	}
	return b.String()
}
