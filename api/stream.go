package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// goesIntoFiles says whether a body of a type is read as a stream: a form of
// parts, and what isn't JSON, a form, XML or text, of which an event holds the
// value.
func goesIntoFiles(contentType string) bool {
	name, _, _ := strings.Cut(contentType, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	switch {
	case strings.HasPrefix(name, "image/"): // image/svg+xml too
		return true
	case name == "", name == jsonType, name == "application/x-www-form-urlencoded", name == "application/xml",
		strings.HasPrefix(name, "text/"), strings.HasSuffix(name, "+json"), strings.HasSuffix(name, "+xml"):
		return false
	}
	return true
}

// A stream is a body that is handed on as it arrives. Its sender may take any
// time in all, if only each Read of waiting for it brings HookPace bytes; what
// the receiver does with them isn't the sender's time.
type stream struct {
	r     io.Reader
	c     *http.ResponseController
	limit bound
	share *share
	read  int64
	// held is what the receiver keeps in memory of it.
	held int64

	// patience is left of the present Read, which must bring pace bytes in all;
	// brought is what it has.
	patience, whole time.Duration
	pace, brought   int64
	// failed is what the caller is told; nil while all is well.
	failed *Problem
	err    error
}

// streamCost is about what each stream has in buffers, here and below.
const streamCost = 256 << 10

// stream makes the stream of a request's body, and lifts the limits on its time
// as a whole until done is called. It is refused while the bodies of all have
// no memory for it.
func (s *Server) stream(c *call, limit bound, sh *share) (st *stream, done func(), p *Problem) {
	st = &stream{
		r: c.r.Body, c: http.NewResponseController(c.ResponseWriter), limit: limit, share: sh,
		patience: s.limits.Read, whole: s.limits.Read, pace: s.limits.HookPace,
	}
	if err := st.Hold(streamCost); err != nil {
		return nil, nil, st.failed
	}
	_ = st.c.SetWriteDeadline(time.Time{}) // a writer of tests has no deadlines
	return st, func() {
		if !errors.Is(st.err, io.EOF) { // the server would wait for the rest before it answers
			_ = st.c.SetReadDeadline(time.Now())
		}
		_ = st.c.SetWriteDeadline(time.Now().Add(s.limits.Write))
	}, nil
}

// Read implements io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	began := time.Now()
	_ = s.c.SetReadDeadline(began.Add(s.patience)) // likewise
	n, err := s.r.Read(b)
	s.patience -= time.Since(began)
	s.read += int64(n)
	if s.brought += int64(n); s.brought >= s.pace {
		s.brought, s.patience = 0, s.whole
	}
	switch {
	case s.read > s.limit.bytes:
		s.fail(s.limit.exceeded(), sdk.TooLarge)
		return 0, s.err
	case err == nil:
	case errors.Is(err, io.EOF):
		s.err = err
		_ = s.c.SetReadDeadline(time.Time{}) // a deadline that passes would end the wait for an answer
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.fail(classOfStatus(http.StatusRequestTimeout).problem(
			"the body came too slowly: each limits.read_timeout must bring limits.hook_pace bytes"), sdk.Timeout)
	default:
		s.fail(unreadable(err), sdk.Invalid)
	}
	return n, s.err
}

// Hold counts n bytes more of the body that the receiver keeps in memory; an
// error refuses them.
func (s *stream) Hold(n int64) error {
	s.held += n
	if p := s.share.grow(s.held); p != nil {
		s.fail(p, sdk.Unavailable)
		return s.err
	}
	return nil
}

func (s *stream) fail(p *Problem, k sdk.Kind) {
	err := sdk.Errorf(k, "%s", p.Detail)
	if k != sdk.Unavailable { // it is the sender's fault, not ours
		err.Reason = p.kind()
	}
	s.failed, s.err = p, err
}

// bodyBound is the bound of a webhook's body, the graph's own if that is less.
func (s *Server) bodyBound(route engine.HookRoute, streams bool, sh *share) bound {
	limit := s.limits.hookBound(sh)
	if streams {
		limit = bound{bytes: s.limits.HookStream, setting: "limits.hook_stream"}
	}
	if 0 < route.MaxBody && route.MaxBody < limit.bytes {
		limit.bytes, limit.setting = route.MaxBody, "max_body of the graph's trigger"
	}
	return limit
}
