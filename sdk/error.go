package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind is what an error means to the one who has to act on it. Kinds are
// words, part of the wire and of stored runs: never renamed.
type Kind string

// The kinds of errors. Retryable says which of them a step's retry repeats.
const (
	// Failed is any failure that has no kind of its own.
	Failed Kind = "failed"
	// Invalid: the config or the input is wrong; repeating won't help.
	Invalid Kind = "invalid"
	// Unauthorized: credentials are missing, wrong or used up.
	Unauthorized Kind = "unauthorized"
	// Denied: a grant, the egress guard or the other side refuses it.
	Denied Kind = "denied"
	// NotFound: what the call names isn't there.
	NotFound Kind = "not_found"
	// RateLimited: asked too often; RetryAfter tells when to come again.
	RateLimited Kind = "rate_limited"
	// Unavailable: the other side is down or unreachable for now.
	Unavailable Kind = "unavailable"
	// Timeout: a deadline passed.
	Timeout Kind = "timeout"
	// TooLarge: a limit on size was passed.
	TooLarge Kind = "too_large"
	// Cancelled: the one who asked has taken it back.
	Cancelled Kind = "cancelled"
	// Unsupported: the connector or this version of the pipe can't do it.
	Unsupported Kind = "unsupported"
	// Panicked: the connector's own code panicked; the call alone is lost.
	Panicked Kind = "panicked"
	// Broken: the plugin's instance or process ended in mid-call. Only the host
	// makes it.
	Broken Kind = "broken"
	// Unknown: it was sent, and whether it took effect can't be known.
	Unknown Kind = "unknown"
)

// Kinds lists every kind that may cross a pipe.
func Kinds() []Kind {
	return []Kind{
		Failed, Invalid, Unauthorized, Denied, NotFound, RateLimited, Unavailable, Timeout, TooLarge,
		Cancelled, Unsupported, Panicked, Broken, Unknown,
	}
}

// Retryable says whether the same call may succeed later.
func (k Kind) Retryable() bool {
	switch k {
	case RateLimited, Unavailable, Timeout, Panicked, Broken:
		return true
	case Failed, Invalid, Unauthorized, Denied, NotFound, TooLarge, Cancelled, Unsupported, Unknown:
		return false
	}
	return false
}

// An Error has a kind to act on, and an operation and a cause to read.
type Error struct {
	Kind Kind
	// Op is what was being done, such as "http.post".
	Op string
	// RetryAfter is how long the other side asked to be left alone; 0: it didn't.
	RetryAfter time.Duration
	// Reason is a word that tells failures of one kind apart, such as why a webhook
	// trigger refuses a request; "" if the kind says all. In process only.
	Reason string
	Err    error
}

// Errorf makes an error of a kind.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// Error gives the operation and the cause; the kind alone where there is none.
func (e *Error) Error() string {
	msg := string(e.Kind)
	if e.Err != nil {
		msg = e.Err.Error()
	}
	if e.Op != "" {
		return e.Op + ": " + msg
	}
	return msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches another *Error of the same kind that has no cause, so that
// errors.Is(err, &sdk.Error{Kind: sdk.Timeout}) asks for the kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Err == nil && t.Kind == e.Kind
}

// KindOf gives the kind of err: its own if it is an *Error, Cancelled or
// Timeout for a context's error, else Failed.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Failed
}

// ReasonOf gives the reason of err or of what it wraps, "" if none has one.
func ReasonOf(err error) string {
	for {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Reason != "" {
			return e.Reason
		}
		err = e.Err
	}
}
