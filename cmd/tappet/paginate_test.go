package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// pageSize is how many items a page of pagingServer has, of 5 in all.
const pageSize = 2

// pagingServer tells where the next page is in each of the ways there are; the
// path says which.
func pagingServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		number := func(name string) int {
			n, _ := strconv.Atoi(q.Get(name)) // absent: 0
			return n
		}
		from := number("offset")
		switch {
		case q.Has("page"):
			from = (number("page") - 1) * pageSize
		case q.Has("after"):
			from, _ = strconv.Atoi(strings.TrimPrefix(q.Get("after"), "c"))
		}
		items := []int{}
		for i := from; i < min(from+pageSize, 5); i++ {
			items = append(items, i)
		}
		out := map[string]any{"items": items}
		if more := from + pageSize; more < 5 {
			switch r.URL.Path {
			case "/next":
				out["next"] = fmt.Sprintf("http://%s/next?size=2&after=c%d", r.Host, more)
			case "/link":
				w.Header().Set("Link", fmt.Sprintf(`</link>; rel="first", </link?size=2&offset=%d>; rel="next"`, more))
			case "/cursor":
				out["cursor"] = fmt.Sprintf("c%d", more)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/lying" {
			out["ok"] = from == 0
		}
		if from >= 5 {
			w.WriteHeader(http.StatusNotFound)
		}
		_ = json.NewEncoder(w).Encode(out) // the caller may be gone
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// The five ways from page to page, over HTTP and through the program: one list,
// and each page's exchange on the one attempt.
func TestPaginate(t *testing.T) {
	t.Parallel()
	url := pagingServer(t)
	s := start(t, "", "--egress-allow", hostport(url))
	for name, x := range map[string]struct {
		step   string
		status []int
	}{
		"next":   {`paginate: {next: "${{ output.body.next }}", items: output.body.items}`, []int{200, 200, 200}},
		"link":   {`paginate: {link: next, items: output.body.items}`, []int{200, 200, 200}},
		"cursor": {`paginate: {cursor: {field: query.after, value: "${{ output.body.cursor }}"}, items: output.body.items}`, []int{200, 200, 200}},
		// Behind the last page the server answers 404, with no items.
		"page":   {`success_when: "output.status in [200, 404]", paginate: {page: {field: query.page}, items: output.body.items}`, []int{200, 200, 200, 404}},
		"offset": {`success_when: "output.status in [200, 404]", paginate: {offset: {field: query.offset}, items: output.body.items}`, []int{200, 200, 200, 404}},
	} {
		doc := fmt.Sprintf("name: %s\ntrigger: {use: manual}\nsteps:\n  - {id: all, use: http.get, with: {url: %s/%s, query: {size: 2}}, %s}\n", name, url, name, x.step)
		r := s.started(t, name, doc)
		if got := string(r.Result); r.State != "succeeded" || got != `[0,1,2,3,4]` {
			t.Errorf("%s: %s, %+v, result %s", name, r.State, r.Error, got)
			continue
		}
		if a := r.Steps[0].Attempts; len(a) != 1 {
			t.Errorf("%s: %d attempts", name, len(a))
			continue
		}
		var status []int
		for _, e := range r.Steps[0].Attempts[0].Exchanges {
			status = append(status, e.Status)
			if strings.Count(e.URL, "size=2") != 1 {
				t.Errorf("%s: %s doesn't have size=2 once", name, e.URL)
			}
		}
		if fmt.Sprint(status) != fmt.Sprint(x.status) {
			t.Errorf("%s: the exchanges have %v, want %v", name, status, x.status)
		}
	}
	r := s.started(t, "lying", fmt.Sprintf("name: lying\ntrigger: {use: manual}\nsteps:\n  - {id: all, use: http.get, with: {url: %s/lying}, success_when: output.body.ok, paginate: {page: {field: query.page}, items: output.body.items}}\n", url))
	if r.State != "failed" || r.Error.Kind != "failed" || r.Error.Message != "page 2: success_when is false: output.body.ok" {
		t.Errorf("a lying page: %s, %+v", r.State, r.Error)
	}
}

// started deploys a graph and gives its run when it has ended.
func (s *server) started(t *testing.T, name, doc string) client.Run {
	t.Helper()
	s.deploy(t, name, doc)
	r, _, err := s.StartRun(t.Context(), name, client.Start{Event: json.RawMessage(`{"body":null}`)})
	if err != nil {
		t.Fatal(err)
	}
	return s.ended(t, r.ID)
}

// on_unknown, as the graph says it, holds when the program is killed during a
// call: whether that is one call or one page of many.
func TestOnUnknownThroughAKill(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		step  string
		state string
		calls int
	}{
		"retry": {`use: http.post, on_unknown: retry`, "succeeded", 2},
		"fail":  {`use: http.post, on_unknown: fail`, "failed", 1},
		"pages": {`use: http.get, paginate: {page: {field: query.page}, items: "[]"}`, "succeeded", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := newSlow(t)
			s := start(t, "", "--egress-allow", hostport(sink.URL))
			s.deploy(t, "doubt", fmt.Sprintf("name: doubt\ntrigger: {use: manual}\nsteps:\n  - {id: send, with: {url: %s/slow}, %s}\n", sink.URL, x.step))
			r, _, err := s.StartRun(t.Context(), "doubt", client.Start{Event: json.RawMessage(`{"body":null}`)})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the call", func() (bool, any) { return sink.count("/slow") == 1, nil })
			s.signal(t, syscall.SIGKILL)
			s.wantExit(t, -1)
			sink.free()
			s = start(t, s.data, "--egress-allow", hostport(sink.URL))
			r = s.ended(t, r.ID)
			if r.State != x.state || sink.count("/slow") != x.calls {
				t.Errorf("%s, %+v after %d calls, want %s after %d", r.State, r.Error, sink.count("/slow"), x.state, x.calls)
			}
			doubts := 0
			for _, a := range r.Steps[0].Attempts {
				if a.State == "in_doubt" {
					doubts++
				}
			}
			if x.state == "succeeded" && doubts != 1 {
				t.Errorf("%d attempts in doubt: %+v", doubts, r.Steps[0].Attempts)
			}
			if x.state == "failed" && (r.Error.Kind != "unknown" || r.Steps[0].Status != "unknown") {
				t.Errorf("the step is %s, %+v; want unknown", r.Steps[0].Status, r.Error)
			}
		})
	}
}
