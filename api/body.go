package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
)

// media gives the type of the body without its parameters, "" when there is
// none. Only UTF-8 is taken.
func media(h http.Header) (string, *Problem) {
	if p := identity(h); p != nil {
		return "", p
	}
	v := h.Get("Content-Type")
	if v == "" {
		return "", nil
	}
	name, params, err := mime.ParseMediaType(v)
	if err != nil {
		return "", classOfStatus(http.StatusUnsupportedMediaType).problem("the header Content-Type can't be read")
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return "", classOfStatus(http.StatusUnsupportedMediaType).problem(
			fmt.Sprintf("the charset %.40q is not taken; send UTF-8", cs))
	}
	return name, nil
}

// identity refuses an encoded body.
func identity(h http.Header) *Problem {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return classOfStatus(http.StatusUnsupportedMediaType).problem(
			fmt.Sprintf("the content encoding %.40q is not taken; send the body as it is", enc)).
			with("Accept-Encoding", "identity")
	}
	return nil
}

// A bound is a limit on a body and the setting that it comes from.
type bound struct {
	bytes   int64
	setting string
	// share, if set, is asked for what the body takes.
	share *share
}

// A budget is the memory that the bodies of strangers may take together.
type budget struct {
	max  int64
	used atomic.Int64
}

// A share is what one body has of a budget. What is read on trust is free, so
// that large bodies keep no small one out.
type share struct {
	of   *budget
	held int64
}

// grow asks for n bytes in all; a share that is nil has no end.
func (s *share) grow(n int64) *Problem {
	more := n - firstRead
	if s == nil || more <= s.held {
		return nil
	}
	if more -= s.held; s.of.used.Add(more) > s.of.max {
		s.of.used.Add(-more)
		return problemOf(&engine.Error{Kind: engine.Unavailable, RetryAfter: time.Second, Err: fmt.Errorf(
			"the bodies that are coming in have more than %d bytes together, which is the limit (limits.hook_bodies)", s.of.max)})
	}
	s.held += more
	return nil
}

// free gives back what the share has.
func (s *share) free() {
	s.of.used.Add(-s.held)
	s.held = 0
}

func (l Limits) requestBound() bound {
	return bound{bytes: l.RequestBody, setting: "limits.request_body"}
}

func (l Limits) hookBound(s *share) bound {
	return bound{bytes: l.HookBody, setting: "limits.hook_body", share: s}
}

func (b bound) exceeded() *Problem {
	return classOf(engine.TooLarge).problem(
		fmt.Sprintf("the body has more than %d bytes, which is the limit (%s)", b.bytes, b.setting))
}

// firstRead is how much is taken on trust in a declared length: a caller who
// declares much and sends little costs no more.
const firstRead = 64 << 10

// read reads a whole body within a bound. What it gives is the caller's to keep.
func read(r *http.Request, limit bound) ([]byte, *Problem) {
	switch {
	case r.ContentLength > limit.bytes:
		return nil, limit.exceeded()
	case r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody:
		return nil, nil
	case r.ContentLength > 0:
		return readDeclared(r.Body, r.ContentLength, limit.share)
	}
	return readOpen(r.Body, limit)
}

// readDeclared reads n bytes into a buffer that grows as they come.
func readDeclared(r io.Reader, n int64, s *share) ([]byte, *Problem) {
	b := make([]byte, min(n, firstRead))
	for got := 0; ; got = len(b) {
		if got > 0 {
			size := min(n, 2*int64(got))
			if p := s.grow(size); p != nil {
				return nil, p
			}
			grown := make([]byte, size)
			copy(grown, b)
			b = grown
		}
		if _, err := io.ReadFull(r, b[got:]); err != nil {
			return nil, unreadable(err)
		}
		if int64(len(b)) == n {
			return b, nil
		}
	}
}

// readOpen reads a body whose length isn't declared.
func readOpen(r io.Reader, limit bound) ([]byte, *Problem) {
	var buf bytes.Buffer
	for {
		n, err := io.CopyN(&buf, r, firstRead)
		switch {
		case int64(buf.Len()) > limit.bytes:
			return nil, limit.exceeded()
		case errors.Is(err, io.EOF):
			return buf.Bytes(), nil
		case err != nil:
			return nil, unreadable(err)
		}
		if p := limit.share.grow(int64(buf.Len()) + n); p != nil {
			return nil, p
		}
	}
}

func unreadable(err error) *Problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return classOfStatus(http.StatusRequestTimeout).problem(
			"the body did not come within the time limit (limits.read_timeout)")
	}
	return classOfStatus(http.StatusBadRequest).problem("the body broke off or is wrongly framed")
}

const (
	jsonType = "application/json"
	yamlType = "application/yaml"
)

// documentBody reads a graph's document.
func (s *Server) documentBody(ctx context.Context) ([]byte, graph.Format, error) {
	r := callOf(ctx).r
	name, p := media(r.Header)
	if p != nil {
		return nil, 0, p
	}
	var f graph.Format
	switch name {
	case jsonType:
		f = graph.JSON
	case yamlType, "application/x-yaml", "text/yaml", "text/x-yaml":
		f = graph.YAML
	default:
		return nil, 0, notTaken(name, "a document is sent as application/json or application/yaml").
			with("Accept", jsonType+", "+yamlType)
	}
	b, p := read(r, s.limits.requestBound())
	if p != nil {
		return nil, 0, p
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, 0, invalid("empty", "the body is empty; send the graph's document")
	}
	return b, f, nil
}

// eventBody reads an event: one JSON object; none is an empty one.
func (s *Server) eventBody(ctx context.Context) ([]byte, error) {
	r := callOf(ctx).r
	name, p := media(r.Header)
	if p != nil {
		return nil, p
	}
	b, p := read(r, s.limits.requestBound())
	switch {
	case p != nil:
		return nil, p
	case len(b) == 0:
		return []byte("{}"), nil
	case name != jsonType:
		return nil, notTaken(name, "an event is sent as application/json").with("Accept", jsonType)
	}
	if x := checkObject(b, s.limits.Depth, false); x != nil {
		return nil, classOf(engine.Invalid).problem(x.text(), *x)
	}
	return b, nil
}

// noBody refuses a body where none belongs; an empty object says nothing
// either, and clients like to send one.
func noBody(ctx context.Context) error {
	r := callOf(ctx).r
	b, p := read(r, bound{bytes: 64})
	if p == nil {
		b = bytes.TrimSpace(b)
		if len(b) == 0 || string(b) == "{}" {
			return nil
		}
	} else if p.Status != http.StatusRequestEntityTooLarge {
		return p
	}
	return invalid("no_body", "this call takes no body")
}

func notTaken(name, want string) *Problem {
	detail := fmt.Sprintf("the content type %.80q is not taken: %s", name, want)
	if name == "" {
		detail = "the header Content-Type is missing: " + want
	}
	return classOfStatus(http.StatusUnsupportedMediaType).problem(detail)
}

// invalid is one thing that is wrong with the whole body.
func invalid(code, message string) *Problem {
	return classOf(engine.Invalid).problem(message, ProblemError{Code: code, Message: message})
}

// invalidParameter is one thing that is wrong with a parameter.
func invalidParameter(name, message string) *Problem {
	x := ProblemError{Parameter: name, Code: "parameter", Message: message}
	return classOf(engine.Invalid).problem(x.text(), x)
}
