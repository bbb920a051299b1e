package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/api"
)

func TestSec06_EachRouteNeedsAToken(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newServer(t, f, nil)
	fill := strings.NewReplacer("{graph}", "orders", "{run}", runID.String(), "{version}", "1", "{connector}", "http", "{plugin}", "feed")
	all := append(routes(t), route{method: "GET", path: "/openapi.json"}, route{method: "GET", path: "/"},
		route{method: "GET", path: "/docs"}, route{method: "GET", path: "/hooks"}, route{method: "OPTIONS", path: "/api/v1/graphs"},
		route{method: "GET", path: "//healthz"}, route{method: "GET", path: "/healthz/"}, route{method: "GET", path: "/%68ealthz"},
		route{method: "GET", path: "/%68ooks/x"})
	for _, r := range all {
		open := r.path == "/healthz" || r.path == "/readyz"
		for _, auth := range [][]string{
			nil,
			{"Basic b3Blbi1zZXNhbWU="},
			{"Bearer wrong"},
			{"Bearer "},
			{"Bearer"},
			{token},
			{"Bearer " + token, "Bearer " + token},
			{"Bearer " + token + " "},
		} {
			req := httptest.NewRequest(r.method, fill.Replace(r.path), nil)
			req.Header["Authorization"] = auth
			w := do(s, req)
			if open {
				if w.Code != 200 {
					t.Errorf("%s %s with %q: %d", r.method, r.path, auth, w.Code)
				}
				continue
			}
			wantProblem(t, w, http.StatusUnauthorized, "unauthorized")
			if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), `Bearer realm="tappet"`) {
				t.Errorf("%s %s: WWW-Authenticate %q", r.method, r.path, w.Header().Get("WWW-Authenticate"))
			}
		}
	}
	if len(f.calls) != 0 {
		t.Errorf("without a token the engine was asked: %v", f.calls)
	}
	q := httptest.NewRequest("GET", "/api/v1/graphs?access_token="+token, nil)
	if w := do(s, q); w.Code != http.StatusUnauthorized {
		t.Errorf("a token in the query: %d", w.Code)
	}
	low := httptest.NewRequest("GET", "/api/v1/graphs", nil)
	low.Header.Set("Authorization", "bearer "+token)
	if w := do(s, low); w.Code != http.StatusOK {
		t.Errorf("the scheme in lower case: %d", w.Code)
	}
}

func TestSec07_NothingIsAPage(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), nil)
	for _, target := range []string{"/api/v1/graphs", "/nothing", "/hooks/orders", "/healthz"} {
		h := do(s, request("GET", target, "")).Header()
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", target, h)
		}
	}
	if h := do(s, request("GET", "/api/v1/graphs", "")).Header(); h.Get("Cache-Control") != "no-store" ||
		!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%v", h)
	}
}

func TestUnlistedPathsAreNotFound(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newServer(t, f, nil)
	id := runID.String()
	for _, c := range []struct{ method, path string }{
		{"GET", "/"},
		{"GET", "/api"},
		{"GET", "/api/v1"},
		{"GET", "/api/v1/"},
		{"GET", "/hooks"},
		{"GET", "/docs"},
		{"GET", "/schemas/Run.json"},
		{"POST", "/api/v1/runs/foo"},
		{"POST", "/api/v1/runsX"},
		{"POST", "/api/v1/graphsX"},
		{"GET", "/api/v1/runs/" + id + "/foo"},
		{"POST", "/api/v1/runs/" + id + "/cancelX"},
		{"POST", "/api/v1/runs/" + id + ":cancel"},
		{"POST", "/api/v1/graphs/orders/publishX"},
		{"POST", "/api/v1/graphs/orders/publish/"},
		{"POST", "/api/v1/graphs/orders/"},
		{"POST", "/api/v1/graphs/orders/x/publish"},
		{"POST", "/api/v1/graphs/a%2Fb/x/publish"},
		{"GET", "/openapi.yaml"},
		{"GET", "/api/v1/schemas/graphXjson"},
		{"GET", "/api/v2/graphs"},
		{"GET", "/api/v1/graphs/orders/%0d%0aX:1"},
	} {
		wantProblem(t, do(s, request(c.method, c.path, "")), http.StatusNotFound, "not_found")
	}
	// An id that is none is the same as one that isn't there.
	wantProblem(t, do(s, request("GET", "/api/v1/runs/foo", "")), http.StatusNotFound, "not_found")
	wantProblem(t, do(s, request("GET", "/api/v1/plugins/none", "")), http.StatusNotFound, "not_found")
	if len(f.calls) != 0 {
		t.Errorf("the engine was asked: %v", f.calls)
	}
}

func TestWrongMethods(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), nil)
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/api/v1/runs/" + runID.String(), "HEAD, OPTIONS, DELETE, GET"},
		{"PATCH", "/api/v1/graphs", "HEAD, OPTIONS, GET, POST"},
		{"GET", "/api/v1/graphs/orders/publish", "OPTIONS, POST"},
		{"POST", "/healthz", "HEAD, OPTIONS, GET"},
		{"BREW", "/api/v1/system", "HEAD, OPTIONS, GET"},
	} {
		w := do(s, request(c.method, c.path, ""))
		wantProblem(t, w, http.StatusMethodNotAllowed, "method_not_allowed")
		if got := w.Header().Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow is %q, want %q", c.method, c.path, got, c.allow)
		}
	}
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	const js, ya = "application/json", "application/yaml"
	runs := "/api/v1/graphs/orders/runs"
	for _, c := range []struct {
		name, method, target, contentType, body string
		status                                  int
		kind, says                              string
	}{
		{"20 MB document", "POST", "/api/v1/graphs", js, strings.Repeat(" ", 20<<20), 413, "too_large", "2097152 bytes, which is the limit (limits.request_body)"},
		{"20 MB event", "POST", runs, js, strings.Repeat(" ", 20<<20), 413, "too_large", "(limits.request_body)"},
		{"20 MB hook", "POST", "/hooks/orders", js, strings.Repeat(" ", 20<<20), 413, "too_large", "10485760 bytes, which is the limit (limits.hook_body)"},
		{"form as document", "POST", "/api/v1/graphs", "application/x-www-form-urlencoded", "a=1", 415, "unsupported_media_type", "application/yaml"},
		{"no content type", "PUT", "/api/v1/graphs/orders/draft", "", "{}", 415, "unsupported_media_type", "Content-Type is missing"},
		{"not UTF-8 by name", "POST", "/api/v1/graphs", ya + "; charset=latin1", "a", 415, "unsupported_media_type", "UTF-8"},
		{"content type is none", "POST", "/api/v1/graphs", "///", "a", 415, "unsupported_media_type", "can't be read"},
		{"empty document", "POST", "/api/v1/graphs/validate", ya, "  \n", 422, "invalid", "the body is empty"},
		{"YAML event", "POST", runs, ya, "a: 1", 415, "unsupported_media_type", "application/json"},
		{"broken event", "POST", runs, js, "{\n \"a\": }", 422, "invalid", "invalid character '}'"},
		{"event is a list", "POST", runs, js, `[1]`, 422, "invalid", "must be a JSON object"},
		{"member twice", "POST", runs, js, `{"a":[{"b":1,"b":2}]}`, 422, "invalid", `/a/0/b: the member "b" is there twice`},
		{"two documents", "POST", runs, js, `{} {}`, 422, "invalid", "invalid character"},
		{"not UTF-8", "POST", runs, js, "{\"a\":\"\xff\"}", 422, "invalid", "not UTF-8"},
		{"too deep", "POST", runs, js, `{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, 422, "invalid", "160 deep"},
		{"a body where none is taken", "POST", "/api/v1/graphs/orders/publish", js, `{"force":true}`, 422, "invalid", "takes no body"},
		{"a long body where none is taken", "POST", "/api/v1/graphs/orders/publish", js, strings.Repeat("x", 1000), 422, "invalid", "takes no body"},
		{"wait isn't a duration", "POST", runs + "?wait=20", js, "{}", 422, "invalid", "not a duration such as 20s"},
		{"wait is too long", "POST", runs + "?wait=2m", js, "{}", 422, "invalid", "1m0s (limits.wait)"},
		{"two documents asked for", "GET", "/api/v1/graphs/orders?draft&version=1", "", "", 422, "invalid", "either draft or version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			w := do(newServer(t, f, nil), request(c.method, c.target, c.body, "Content-Type", c.contentType))
			p := wantProblem(t, w, c.status, c.kind)
			if !strings.Contains(p.Detail, c.says) {
				t.Errorf("detail is %q, want %q in it", p.Detail, c.says)
			}
			// What isn't taken of a hook is told, for the inbox.
			if calls := strings.Join(f.calls, " "); (calls != "" || strings.HasPrefix(c.target, "/hooks/")) && (calls != "HookRefused" || !strings.HasPrefix(c.target, "/hooks/")) {
				t.Errorf("the engine was asked: %v", f.calls)
			}
		})
	}
}

func TestAnEmptyObjectWhereNoBodyIsTaken(t *testing.T) {
	t.Parallel()
	w := do(newServer(t, newFake(), nil), request("POST", "/api/v1/graphs/orders/publish", " {} ", "Content-Type", "application/json"))
	if w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestALimitHoldsForBodiesOfUnknownLength(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), func(o *api.Options) { o.Limits.HookBody, o.Limits.RequestBody = 100, 100 })
	for _, c := range []struct {
		target string
		n      int
		status int
	}{
		{"/hooks/orders", 100, 202},
		{"/hooks/orders", 101, 413},
		{"/api/v1/graphs/validate", 100, 200},
		{"/api/v1/graphs/validate", 101, 413},
	} {
		r := request("POST", c.target, "", "Content-Type", "application/yaml")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", c.n))), -1
		if w := do(s, r); w.Code != c.status {
			t.Errorf("%s with %d bytes: %d", c.target, c.n, w.Code)
		}
	}
}

// SecurityRule 08: strangers can't fill the memory with bodies that never end.
func TestSec08_BodiesThatComeInAreBoundedTogether(t *testing.T) {
	t.Parallel()
	const whole = 300 << 10
	for name, declared := range map[string]int64{"declared": whole, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, newFake(), func(o *api.Options) { o.Limits.HookBodies = 400 << 10 })
			post := func(body io.Reader, n int64) *httptest.ResponseRecorder {
				r := request("POST", "/hooks/orders", "")
				r.Body, r.ContentLength = io.NopCloser(body), n
				return do(s, r)
			}
			text := func(n int) io.Reader { return strings.NewReader(strings.Repeat("x", n)) }
			slow, feed := io.Pipe()
			first := make(chan int)
			go func() { first <- post(slow, declared).Code }()
			if _, err := io.Copy(feed, text(whole-1)); err != nil {
				t.Fatal(err)
			}
			w := post(text(whole), declared)
			wantProblem(t, w, http.StatusServiceUnavailable, "unavailable")
			if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "limits.hook_bodies") {
				t.Errorf("the refusal doesn't say what to do: %v %s", w.Header(), w.Body)
			}
			if w := post(text(1000), 1000); w.Code != http.StatusAccepted {
				t.Errorf("a small body beside a large one: %d", w.Code)
			}
			if _, err := io.Copy(feed, text(1)); err != nil {
				t.Fatal(err)
			}
			_ = feed.Close() // never fails
			if code := <-first; code != http.StatusAccepted {
				t.Errorf("the first body: %d", code)
			}
			if w := post(text(whole), declared); w.Code != http.StatusAccepted {
				t.Errorf("a body after the first one: %d", w.Code)
			}
		})
	}
}

func TestAQueryThatCantBeReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, q := range []string{"limit=5;state=failed", "%", "a%zz=1"} {
		w := do(newServer(t, newFake(), nil), request("GET", "/api/v1/runs?"+q, ""))
		wantProblem(t, w, http.StatusBadRequest, "malformed")
	}
}

func TestNewWantsItsParts(t *testing.T) {
	t.Parallel()
	for _, o := range []api.Options{{}, {Engine: newFake()}, {Auth: oneToken{}}} {
		if _, err := api.New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
