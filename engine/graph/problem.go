package graph

import "fmt"

// A Problem is one thing that is wrong with a document: where, what, and what
// would be right.
type Problem struct {
	// Pointer is a JSON pointer (RFC 6901) into the document.
	Pointer string `json:"pointer"`
	// Line and Column count from 1, in the document as it was given; 0: unknown.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Code is stable and for programs: "unknown_field", "syntax", "type", …
	Code string `json:"code"`
	// Message is for people: lower case, no full stop.
	Message string `json:"message"`
	// Suggestion says what would be right, such as `did you mean "title"?`.
	Suggestion string `json:"suggestion,omitempty"`
	// Warning: the graph may be published all the same.
	Warning bool `json:"warning,omitempty"`
}

// Error gives place, message and suggestion on one line.
func (p Problem) Error() string {
	s := p.Message
	if p.Pointer != "" {
		s = p.Pointer + ": " + s
	}
	switch {
	case p.Line > 0 && p.Column > 0:
		s = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, s)
	case p.Line > 0:
		s = fmt.Sprintf("line %d: %s", p.Line, s)
	}
	if p.Suggestion != "" {
		s += "; " + p.Suggestion
	}
	return s
}
