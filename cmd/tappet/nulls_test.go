package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api/client"
)

// nullsGraph maps optional members, nulls and empty values of an event into
// every part of a request; ADDRESS and MORE are replaced.
const nullsGraph = `
name: NAME
trigger: {use: manual}
steps:
  - id: send
    use: http.post
    with:
      url: ADDRESS
      MORE
      headers: {X-Due: "${{ trigger.body.due }}", X-Absent: "${{ trigger.body.absent }}", X-Empty: "${{ trigger.body.empty }}"}
      query: {due: "${{ trigger.body.due }}", absent: "${{ trigger.body.absent.deeper }}", zero: "${{ trigger.body.zero }}"}
      body:
        due: ${{ trigger.body.due }}
        absent: ${{ trigger.body.absent }}
        default: ${{ trigger.body.absent ?? "none" }}
        key_without_value:
        empty: ${{ trigger.body.empty }}
        zero: ${{ trigger.body.zero }}
        no: ${{ trigger.body.no }}
        list: ${{ trigger.body.list }}
        deep: {due: "${{ trigger.body.due }}", rest: "${{ trigger.body.deep }}"}
`

const nullsEvent = `{"body": {"due": null, "empty": "", "zero": 0, "no": false, "list": [1, null, {"a": null}], "deep": {"x": null, "y": 1}}}`

// What http.md says of nulls (S24, S25), from the mapping to the wire.
func TestMappedNulls(t *testing.T) {
	t.Parallel()
	type sent struct {
		Query  string
		Header map[string][]string
		Body   string
	}
	var (
		mu  sync.Mutex
		got = map[string]sent{}
	)
	sink := newSink(t, func(r *http.Request, body []byte) {
		mu.Lock()
		defer mu.Unlock()
		s := sent{Query: r.URL.RawQuery, Header: map[string][]string{}, Body: string(body)}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-") {
				s.Header[name] = values
			}
		}
		got[r.URL.Path] = s
	})
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	for _, c := range []struct {
		name, more string
		want       sent
	}{
		{"s24", "", sent{
			"due=&absent=&zero=0",
			map[string][]string{"X-Due": {""}, "X-Absent": {""}, "X-Empty": {""}},
			`{"due":null,"absent":null,"default":"none","key_without_value":null,"empty":"","zero":0,"no":false,"list":[1, null, {"a": null}],"deep":{"due":null,"rest":{"x": null, "y": 1}}}`,
		}},
		{"s25", "send_nulls: false", sent{
			"zero=0",
			map[string][]string{"X-Empty": {""}},
			`{"default":"none","empty":"","zero":0,"no":false,"list":[1,null,{}],"deep":{"rest":{"y":1}}}`,
		}},
	} {
		doc := strings.NewReplacer("NAME", c.name, "ADDRESS", sink.URL+"/"+c.name, "MORE", c.more).Replace(nullsGraph)
		s.deploy(t, c.name, doc)
		run, _, err := s.StartRun(t.Context(), c.name, client.Start{Event: json.RawMessage(nullsEvent), Wait: 30 * time.Second})
		if err != nil || run.State != "succeeded" {
			t.Fatalf("%s: %+v, %v", c.name, run, err)
		}
		mu.Lock()
		if d := cmp.Diff(c.want, got["/"+c.name]); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
		mu.Unlock()
		wantMapping(t, run)
	}
}

// wantMapping checks what the run tells of the origin of its request's fields.
func wantMapping(t *testing.T, run client.Run) {
	t.Helper()
	got := map[string]client.Mapped{}
	for _, m := range run.Steps[0].Mapping {
		got[m.Pointer] = m
	}
	for _, want := range []client.Mapped{
		{Pointer: "/query/absent", Expression: "${{ trigger.body.absent.deeper }}", Reads: []string{"trigger.body.absent.deeper"}},
		{Pointer: "/body/deep/rest", Expression: "${{ trigger.body.deep }}", Reads: []string{"trigger.body.deep"}},
		{Pointer: "/body/default", Expression: `${{ trigger.body.absent ?? "none" }}`, Reads: []string{"trigger.body.absent"}},
	} {
		if d := cmp.Diff(want, got[want.Pointer]); d != "" {
			t.Errorf("%s (-want +got):\n%s", want.Pointer, d)
		}
	}
	if _, ok := got["/url"]; ok || len(got) != 15 {
		t.Errorf("%d mapped fields, the URL among them: %t: %v", len(got), ok, got)
	}
}

// Where a value is needed, a null fails before anything is sent; where the type
// says so, it is a problem when the graph is saved.
func TestNullsWhereAValueIsNeeded(t *testing.T) {
	t.Parallel()
	sink := newSink(t, func(r *http.Request, _ []byte) { t.Errorf("%s was sent", r.URL) })
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	for name, url := range map[string]string{
		"whole": `"${{ trigger.body.url }}"`,
		"text":  `"` + sink.URL + `/${{ trigger.body.id }}"`,
	} {
		s.deploy(t, name, "name: "+name+"\ntrigger: {use: manual}\nsteps: [{id: send, use: http.get, with: {url: "+url+"}}]")
		run, _, err := s.StartRun(t.Context(), name, client.Start{Event: json.RawMessage(`{"body": {"url": null}}`), Wait: 30 * time.Second})
		if err != nil || run.State != "failed" || run.Error == nil || run.Error.Pointer == "" && run.Error.Kind == "expression" {
			t.Errorf("%s: %s, %+v, %v", name, run.State, run.Error, err)
		}
	}
	v, err := s.Validate(t.Context(), []byte(`
name: optional
trigger: {use: manual}
steps:
  - {id: a, if: trigger.body.x, use: http.get, with: {url: "https://example.com"}}
  - {id: b, use: http.post, with: {url: "https://example.com", headers: {X: "${{ steps.a.headers.x }}"}, body: "${{ steps.a.body }}"}}
  - {id: c, use: http.get, with: {url: "${{ steps.a.headers.location }}"}}
`), client.YAML)
	if err != nil || len(v.Problems) != 1 || v.Problems[0].Pointer != "/steps/2/with/url" {
		t.Errorf("%+v, %v", v.Problems, err)
	}
}
