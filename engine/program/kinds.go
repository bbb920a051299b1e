package program

import (
	"fmt"
	"slices"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// ErrorKinds are the kinds of errors that a step can fail with: those of connectors
// (sdk.Kinds) and those of the engine's own. A plugin of a later sdk may know more.
func ErrorKinds() []string {
	return []string{
		"broken", "cancelled", "changed_program", "denied", "expression", "failed", "invalid", "limit", "not_found", "panicked",
		"rate_limited", "timeout", "too_large", "unauthorized", "unavailable", "unknown", "unknown_secret", "unsupported",
	}
}

// kinds warns of kinds in retry.on that no error has.
func (b *builder) kinds(s *graph.Step) {
	if s.Retry == nil {
		return
	}
	known := ErrorKinds()
	for i, k := range s.Retry.On {
		if slices.Contains(known, k) || b.full() {
			continue
		}
		hint := ""
		if near := expr.Nearest(k, known); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		b.add(graph.Problem{
			Pointer: graph.Pointer(s.Pointer, "retry", "on", fmt.Sprint(i)), Line: s.Pos.Line, Column: s.Pos.Column,
			Code: "kind", Warning: true, Message: fmt.Sprintf("no error that is known here has the kind %q", k), Suggestion: hint,
		})
	}
}
