package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

func TestEachKindHasItsStatus(t *testing.T) {
	t.Parallel()
	want := map[engine.Kind]int{
		engine.Invalid: 422, engine.NotFound: 404, engine.Conflict: 409, engine.TooLarge: 413, engine.Overloaded: 429,
		engine.Unavailable: 503, engine.Refused: 403, engine.Unauthorized: 401, engine.Unsupported: 415, engine.MethodNotAllowed: 405, engine.Internal: 500,
	}
	for _, k := range engine.Kinds() {
		f := newFake()
		f.err = fmt.Errorf("outer: %w", &engine.Error{
			Kind: k, Op: "get graph", Err: errors.New("the reason"), RetryAfter: 1100 * time.Millisecond, Allow: []string{"POST", "PUT"},
			Problems: []engine.Problem{{Pointer: "/a", Line: 1, Column: 2, Code: "c", Message: "m", Suggestion: "s", Warning: true}},
		})
		w := do(newServer(t, f, nil), request("GET", "/api/v1/graphs/orders", ""))
		p := wantProblem(t, w, want[k], string(k))
		if k == engine.Internal {
			if strings.Contains(w.Body.String(), "reason") {
				t.Errorf("an internal error tells %s", w.Body)
			}
			continue
		}
		full := []api.ProblemError{{Pointer: "/a", Line: 1, Column: 2, Code: "c", Message: "m", Suggestion: "s", Warning: true}}
		if d := cmp.Diff(full, p.Errors); d != "" {
			t.Errorf("%s: %s", k, d)
		}
		retry := k == engine.Overloaded || k == engine.Unavailable
		if got := w.Header().Get("Retry-After"); (got == "2") != retry {
			t.Errorf("%s: Retry-After %q", k, got)
		}
		if got := w.Header().Get("Allow"); (got == "POST, PUT") != (k == engine.MethodNotAllowed) {
			t.Errorf("%s: Allow %q", k, got)
		}
	}
}

func TestAProblemIsWrittenSo(t *testing.T) {
	t.Parallel()
	w := do(newServer(t, newFake(), nil), request("GET", "/api/v1/runs?limit=1000&state=lost&tpyo=1", ""))
	p := wantProblem(t, w, 422, "invalid")
	golden(t, "problem.json", bytes.Replace(indent(t, w.Body.Bytes()), []byte(p.RequestID), []byte("REQUEST"), 1))
}

func TestHumasErrorsAreTranslated(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), nil)
	for _, c := range []struct{ target, parameter, message string }{
		{"/api/v1/graphs?limit=0", "limit", "expected number >= 1"},
		{"/api/v1/graphs?limit=201", "limit", "expected number <= 200"},
		{"/api/v1/graphs?limit=x", "limit", "invalid integer"},
		{"/api/v1/graphs?active=perhaps", "active", "expected value to be one of"},
		{"/api/v1/graphs?label=x", "label", "there is no such parameter"},
		{"/api/v1/runs?from=yesterday", "from", "invalid date/time"},
		{"/api/v1/graphs/orders/versions/0", "version", "expected number >= 1"},
	} {
		p := wantProblem(t, do(s, request("GET", c.target, "")), 422, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Parameter != c.parameter || !strings.Contains(p.Errors[0].Message, c.message) {
			t.Errorf("%s: %+v", c.target, p.Errors)
		}
	}
}

func TestAPanicIsAProblemAndIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := newFake()
	f.onHook = func(context.Context, string, sdk.WebhookRequest) { panic("secret trouble") }
	s := newServer(t, f, func(o *api.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	w := do(s, request("POST", "/hooks/orders", "{}"))
	p := wantProblem(t, w, 500, "internal")
	if strings.Contains(w.Body.String(), "trouble") {
		t.Error("the caller is told")
	}
	for _, want := range []string{"secret trouble", p.RequestID, "TestAPanic"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
}

func TestTheAccessLogIsAtDebug(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newServer(t, newFake(), func(o *api.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	w := do(s, request("POST", "/hooks/orders", "{}", "X-Request-Id", "theirs"))
	id := w.Header().Get("X-Request-Id")
	if id == "theirs" || len(id) < 16 {
		t.Errorf("request id %q", id)
	}
	for _, want := range []string{"request_id=" + id, "status=202", "path=/hooks/orders", "method=POST"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log.String())
		}
	}
	if strings.Contains(log.String(), token) {
		t.Error("the log has the token")
	}
}
