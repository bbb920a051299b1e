package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/engine/graph"
)

// Kind is what an error of the engine means to the one who has to act on it.
type Kind string

// The kinds.
const (
	// Invalid: what was sent is wrong; Problems tell where.
	Invalid Kind = "invalid"
	// NotFound: there is no such thing.
	NotFound Kind = "not_found"
	// Conflict: what is asked can't be done in the present state.
	Conflict Kind = "conflict"
	// TooLarge: a limit on size was passed.
	TooLarge Kind = "too_large"
	// Overloaded: too much is open; come again after RetryAfter.
	Overloaded Kind = "overloaded"
	// Unavailable: the store can't be written or the engine is stopping; come
	// again after RetryAfter.
	Unavailable Kind = "unavailable"
	// Unauthorized: a webhook trigger wants credentials that aren't there.
	Unauthorized Kind = "unauthorized"
	// Refused: a webhook trigger doesn't take the request.
	Refused Kind = "refused"
	// Unsupported: a webhook trigger doesn't take bodies of this type.
	Unsupported Kind = "unsupported_media_type"
	// MethodNotAllowed: the route exists, for other methods.
	MethodNotAllowed Kind = "method_not_allowed"
	// Internal: a defect of ours.
	Internal Kind = "internal"
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{Invalid, NotFound, Conflict, TooLarge, Overloaded, Unavailable, Unauthorized, Refused, Unsupported, MethodNotAllowed, Internal}
}

// A Problem is one thing that is wrong with a document or a request.
type Problem = graph.Problem

// An Error has a kind to act on and an operation to read.
type Error struct {
	Kind Kind
	// Op is what was being done, such as "publish graph orders".
	Op string
	// Problems are all that is wrong, for Invalid and Conflict.
	Problems []Problem
	// RetryAfter is for Overloaded and Unavailable.
	RetryAfter time.Duration
	// Allow lists the methods of a route, for MethodNotAllowed.
	Allow []string
	Err   error
}

// Error gives the operation and the cause.
func (e *Error) Error() string {
	msg := string(e.Kind)
	switch {
	case e.Err != nil:
		msg = e.Err.Error()
	case len(e.Problems) == 1:
		msg = e.Problems[0].Error()
	case len(e.Problems) > 1:
		msg = fmt.Sprintf("%s (and %d more)", e.Problems[0].Error(), len(e.Problems)-1)
	}
	if e.Op == "" {
		return msg
	}
	return e.Op + ": " + msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches another *Error that has the same kind and nothing else, so that
// errors.Is(err, &engine.Error{Kind: engine.NotFound}) asks for the kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Err == nil && t.Op == "" && t.Kind == e.Kind
}

// KindOf gives the kind of err; Internal when it has none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

func errorf(k Kind, op, format string, args ...any) *Error {
	return &Error{Kind: k, Op: op, Err: fmt.Errorf(format, args...)}
}
