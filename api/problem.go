package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tappet-dev/tappet/engine"
)

// A Problem is the answer to a call that didn't work (RFC 9457).
type Problem struct {
	Type      string         `json:"type" doc:"What kind of problem it is: a stable path, for programs." enum:"/problems/invalid,/problems/malformed,/problems/unauthorized,/problems/refused,/problems/not_found,/problems/method_not_allowed,/problems/timeout,/problems/conflict,/problems/too_large,/problems/unsupported_media_type,/problems/overloaded,/problems/internal,/problems/unavailable" example:"/problems/invalid"`
	Title     string         `json:"title" doc:"The type in words; the same for each problem of the type." example:"What was sent is wrong"`
	Status    int            `json:"status" doc:"The HTTP status." example:"422"`
	Detail    string         `json:"detail" doc:"What went wrong this time, and what would be right." example:"publish graph orders: /steps/0/with/url: unknown field \"trigger.body.tilte\""`
	Instance  string         `json:"instance" doc:"The path that was asked for." example:"/api/v1/graphs/orders/publish"`
	RequestID string         `json:"request_id" doc:"Names the request in the server's log; also in the header X-Request-Id." example:"4XJ2QF7ZKD5W3M6N"`
	Errors    []ProblemError `json:"errors,omitempty" doc:"All that is wrong with what was sent."`
	Checks    []Check        `json:"checks,omitempty" doc:"When a graph could not be turned on: each part that was tried."`

	header http.Header
}

// A ProblemError is one thing that is wrong with a request or its document.
type ProblemError struct {
	Pointer    string `json:"pointer" doc:"Where in the body it is: a JSON pointer (RFC 6901), empty for the whole." example:"/steps/0/with/url"`
	Parameter  string `json:"parameter,omitempty" doc:"The query, path or header parameter it is about, instead of pointer." example:"limit"`
	Line       int    `json:"line,omitempty" doc:"The line in the body, from 1." example:"14"`
	Column     int    `json:"column,omitempty" doc:"The column in the line, from 1." example:"12"`
	Message    string `json:"message" doc:"What is wrong, for people." example:"unknown field \"tilte\""`
	Code       string `json:"code" doc:"What is wrong, for programs; stable." example:"unknown_field"`
	Suggestion string `json:"suggestion,omitempty" doc:"What would be right." example:"did you mean \"title\"?"`
	Warning    bool   `json:"warning,omitempty" doc:"It doesn't stand in the way." example:"false"`
}

var (
	_ huma.StatusError       = (*Problem)(nil)
	_ huma.HeadersError      = (*Problem)(nil)
	_ huma.ContentTypeFilter = (*Problem)(nil)
)

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the fields that the answer has beside its body.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is that of RFC 9457.
func (p *Problem) ContentType(string) string { return problemJSON }

// with sets a header field of the answer.
func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

const problemJSON = "application/problem+json"

// A class is a type of problem.
type class struct {
	name   string
	status int
	title  string
}

// The classes that have no kind of the engine.
const (
	malformed    = "malformed"
	unauthorized = "unauthorized"
	timeout      = "timeout"
	mediaType    = "unsupported_media_type"
)

// classOf is the one table from kinds to statuses.
func classOf(k engine.Kind) class {
	switch k {
	case engine.Invalid:
		return class{"invalid", http.StatusUnprocessableEntity, "What was sent is wrong"}
	case engine.NotFound:
		return class{"not_found", http.StatusNotFound, "There is no such thing"}
	case engine.Conflict:
		return class{"conflict", http.StatusConflict, "The present state doesn't allow it"}
	case engine.TooLarge:
		return class{"too_large", http.StatusRequestEntityTooLarge, "A limit on size was passed"}
	case engine.Overloaded:
		return class{"overloaded", http.StatusTooManyRequests, "Too much is open at present"}
	case engine.Unavailable:
		return class{"unavailable", http.StatusServiceUnavailable, "It can't be done for the moment"}
	case engine.Unauthorized:
		return class{unauthorized, http.StatusUnauthorized, "Credentials are needed"}
	case engine.Unsupported:
		return class{mediaType, http.StatusUnsupportedMediaType, "The body has a type that isn't taken here"}
	case engine.Refused:
		return class{"refused", http.StatusForbidden, "The request is not taken"}
	case engine.MethodNotAllowed:
		return class{"method_not_allowed", http.StatusMethodNotAllowed, "The method is not allowed here"}
	case engine.Internal:
	}
	return class{"internal", http.StatusInternalServerError, "Something is wrong inside Tappet"}
}

// classOfStatus is classOf for what the HTTP layer itself refuses.
func classOfStatus(status int) class {
	switch status {
	case http.StatusBadRequest:
		return class{malformed, status, "The request can't be read"}
	case http.StatusUnauthorized:
		return class{unauthorized, status, "A token is needed"}
	case http.StatusRequestTimeout:
		return class{timeout, status, "The request came too slowly"}
	case http.StatusUnsupportedMediaType:
		return class{mediaType, status, "The body has a type that isn't taken here"}
	}
	for _, k := range engine.Kinds() {
		if c := classOf(k); c.status == status {
			return c
		}
	}
	return classOf(engine.Internal)
}

// kind is the type without its path.
func (p *Problem) kind() string { return strings.TrimPrefix(p.Type, "/problems/") }

func (c class) problem(detail string, errs ...ProblemError) *Problem {
	return &Problem{Type: "/problems/" + c.name, Title: c.title, Status: c.status, Detail: detail, Errors: errs}
}

// problemOf tells err to a caller. Internal ones keep their text to themselves:
// it may hold anything.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*engine.Error](err)
	if !ok || e.Kind == engine.Internal {
		return classOf(engine.Internal).problem("the server's log tells more under the request_id")
	}
	p := classOf(e.Kind).problem(err.Error())
	for _, x := range e.Problems {
		p.Errors = append(p.Errors, problemError(x))
	}
	switch e.Kind {
	case engine.Overloaded, engine.Unavailable:
		_ = p.with("Retry-After", retryAfter(e.RetryAfter))
	case engine.MethodNotAllowed:
		_ = p.with("Allow", strings.Join(e.Allow, ", "))
	case engine.Invalid, engine.NotFound, engine.Conflict, engine.TooLarge, engine.Refused, engine.Unauthorized,
		engine.Unsupported, engine.Internal:
	}
	return p
}

func problemError(p engine.Problem) ProblemError {
	return ProblemError{
		Pointer: p.Pointer, Line: p.Line, Column: p.Column,
		Message: p.Message, Code: p.Code, Suggestion: p.Suggestion, Warning: p.Warning,
	}
}

// retryAfter is whole seconds, rounded up, at least one (RFC 9110, 10.2.3).
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// translate makes a problem of huma's own. Locations like "body.items[3].tags"
// become JSON pointers; the values that huma repeats are left out, as they may
// be secrets. More are problems that huma doesn't look for.
func translate(m *huma.ErrorModel, more []ProblemError) *Problem {
	p := classOfStatus(m.Status).problem(m.Detail)
	for _, e := range m.Errors {
		where, rest, _ := strings.Cut(e.Location, ".")
		x := ProblemError{Message: e.Message, Code: "invalid"}
		if where == "body" {
			x.Pointer = pointer(rest)
		} else {
			rest, _, _ = strings.Cut(rest, "[") // one of a repeated one
			x.Parameter, x.Code = rest, "parameter"
		}
		p.Errors = append(p.Errors, x)
	}
	if p.Errors = append(p.Errors, more...); len(p.Errors) > 0 {
		p.Detail = p.Errors[0].text()
		if n := len(p.Errors) - 1; n > 0 {
			p.Detail += " (and " + strconv.Itoa(n) + " more)"
		}
	}
	return p
}

func (e ProblemError) text() string {
	switch {
	case e.Parameter != "":
		return "parameter " + e.Parameter + ": " + e.Message
	case e.Pointer != "":
		return e.Pointer + ": " + e.Message
	}
	return e.Message
}

// pointer turns "items[3].tags" into "/items/3/tags".
func pointer(location string) string {
	if location == "" {
		return ""
	}
	r := strings.NewReplacer("~", "~0", "/", "~1", ".", "/", "[", "/", "]", "")
	return "/" + r.Replace(location)
}

// write sends the problem by hand, where huma doesn't.
func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	b, err := json.Marshal(p)
	if err != nil {
		b = []byte(`{}`) // strings, numbers and booleans always marshal
	}
	w.Header().Set("Content-Type", problemJSON)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(b, '\n')) // a caller who is gone can't be told
}
