package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api/client"
)

// golden reads a representation that the API's own tests have written.
func golden(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestTheClientKnowsEachMember(t *testing.T) {
	t.Parallel()
	for file, v := range map[string]any{
		"graph.json": &client.Graph{}, "graphs.json": &client.Page[client.Graph]{}, "validation.json": &client.Validation{},
		"version.json": &client.Version{}, "versions.json": &client.Page[client.Version]{},
		"activation_on.json": &client.Activation{}, "run.json": &client.Run{}, "runs.json": &client.Page[client.Run]{},
		"connector.json": &client.Connector{}, "connectors.json": &client.Page[client.Connector]{},
		"plugin.json": &client.Plugin{}, "plugins.json": &client.Page[client.Plugin]{}, "system.json": &client.System{},
		"hosts.json":   &client.Page[client.Host]{},
		"problem.json": &client.Problem{}, "connector_check.json": &client.CheckResult{}, "connector_options.json": &client.Page[client.Option]{},
		"plugin_fetched.json": &client.PluginInstall{}, "plugin_logs.json": &client.Page[client.PluginLog]{},
	} {
		d := json.NewDecoder(bytes.NewReader(golden(t, file)))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if reflect.ValueOf(v).Elem().IsZero() {
			t.Errorf("%s says nothing", file)
		}
	}
}

// A server answers with a file and remembers what it was asked.
type server struct {
	file   string
	status int
	header map[string]string
	asked  string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.asked = strings.Join([]string{
		r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), r.Header.Get("Accept"),
		r.Header.Get("Idempotency-Key"), string(b),
	}, "|")
	for k, v := range s.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(s.status)
	f, _ := os.ReadFile(filepath.Join("..", "testdata", s.file))
	_, _ = w.Write(f)
}

func newClient(tb testing.TB, s *server) *client.Client {
	tb.Helper()
	ts := httptest.NewServer(s)
	tb.Cleanup(ts.Close)
	c, err := client.New(ts.URL+"/", "t", client.Options{HTTP: ts.Client()})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestCalls(t *testing.T) {
	t.Parallel()
	yes := true
	ctx := context.Background()
	doc := []byte("name: orders")
	day := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		file, asked string
		call        func(*client.Client) (any, error)
		name        func(any) string
	}{
		{"graph.json", "POST|/api/v1/graphs|Bearer t|application/yaml|||name: orders", func(c *client.Client) (any, error) {
			return c.CreateGraph(ctx, doc, client.YAML)
		}, func(v any) string { return v.(client.Graph).Name }},
		{"graph.json", "PUT|/api/v1/graphs/orders/draft|Bearer t|application/json|||name: orders", func(c *client.Client) (any, error) {
			return c.PutDraft(ctx, "orders", doc, client.JSON)
		}, nil},
		{"graph.json", "GET|/api/v1/graphs/a%2F..%2Fb|Bearer t||||", func(c *client.Client) (any, error) { return c.Graph(ctx, "a/../b") }, nil},
		{"graph.json", "GET|/api/v1/graphs/orders?draft=true|Bearer t||application/yaml||", func(c *client.Client) (any, error) {
			return c.Document(ctx, "orders", 0, client.YAML)
		}, nil},
		{"graph.json", "GET|/api/v1/graphs/orders?version=3|Bearer t||application/json||", func(c *client.Client) (any, error) {
			return c.Document(ctx, "orders", 3, client.JSON)
		}, nil},
		{"graphs.json", "GET|/api/v1/graphs?active=true&cursor=c&limit=5&q=x+y|Bearer t||||", func(c *client.Client) (any, error) {
			return c.Graphs(ctx, client.GraphQuery{Text: "x y", Active: &yes, Limit: 5, Cursor: "c"})
		}, func(v any) string { return v.(client.Page[client.Graph]).Items[0].Name }},
		{"", "DELETE|/api/v1/graphs/orders?force=true|Bearer t||||", func(c *client.Client) (any, error) {
			return nil, c.DeleteGraph(ctx, "orders", true)
		}, nil},
		{"validation.json", "POST|/api/v1/graphs/validate|Bearer t|application/yaml|||name: orders", func(c *client.Client) (any, error) {
			return c.Validate(ctx, doc, client.YAML)
		}, nil},
		{"validation.json", "POST|/api/v1/graphs/orders/validate|Bearer t||||", func(c *client.Client) (any, error) { return c.ValidateDraft(ctx, "orders") }, nil},
		{"version.json", "POST|/api/v1/graphs/orders/publish|Bearer t||||", func(c *client.Client) (any, error) { return c.Publish(ctx, "orders") }, nil},
		{"versions.json", "GET|/api/v1/graphs/orders/versions|Bearer t||||", func(c *client.Client) (any, error) { return c.Versions(ctx, "orders") }, nil},
		{"version.json", "GET|/api/v1/graphs/orders/versions/2|Bearer t||||", func(c *client.Client) (any, error) { return c.Version(ctx, "orders", 2) }, nil},
		{"activation_on.json", "POST|/api/v1/graphs/orders/activate|Bearer t||||", func(c *client.Client) (any, error) { return c.Activate(ctx, "orders") }, nil},
		{"activation_off.json", "POST|/api/v1/graphs/orders/deactivate|Bearer t||||", func(c *client.Client) (any, error) { return c.Deactivate(ctx, "orders") }, nil},
		{"run.json", `POST|/api/v1/graphs/orders/runs?wait=20s|Bearer t|application/json||k|{"body":1}`, func(c *client.Client) (any, error) {
			r, duplicate, err := c.StartRun(ctx, "orders", client.Start{Event: []byte(`{"body":1}`), Key: "k", Wait: 20 * time.Second})
			if !duplicate || !r.Ended() {
				err = errors.Join(err, errors.New("not the first run, or not ended"))
			}
			return r, err
		}, func(v any) string { return v.(client.Run).Graph }},
		{"run.json", "GET|/api/v1/runs/id|Bearer t||||", func(c *client.Client) (any, error) { return c.Run(ctx, "id") }, nil},
		{"run.json", "POST|/api/v1/runs/id/cancel|Bearer t||||", func(c *client.Client) (any, error) { return c.CancelRun(ctx, "id") }, nil},
		{"runs.json", "GET|/api/v1/runs?from=2026-11-24T00%3A00%3A00Z&graph=orders&limit=2&state=failed&state=running|Bearer t||||", func(c *client.Client) (any, error) {
			return c.Runs(ctx, client.RunQuery{Graph: "orders", States: []string{"failed", "running"}, From: day, Limit: 2})
		}, nil},
		{"events.json", "GET|/api/v1/events?graph=orders&limit=2&outcome=refused&outcome=failed|Bearer t||||", func(c *client.Client) (any, error) {
			return c.Events(ctx, client.EventQuery{Graph: "orders", Outcomes: []string{"refused", "failed"}, Limit: 2})
		}, func(v any) string { return v.(client.Page[client.Event]).Items[0].Graph }},
		{"event.json", "GET|/api/v1/events/id|Bearer t||||", func(c *client.Client) (any, error) { return c.Event(ctx, "id") }, nil},
		{"reinjection.json", "POST|/api/v1/events/id/reinject|Bearer t||||", func(c *client.Client) (any, error) { return c.Reinject(ctx, "id") }, nil},
		{"connectors.json", "GET|/api/v1/connectors?q=http|Bearer t||||", func(c *client.Client) (any, error) { return c.Connectors(ctx, "http") }, nil},
		{"connector.json", "GET|/api/v1/connectors/http|Bearer t||||", func(c *client.Client) (any, error) { return c.Connector(ctx, "http") }, nil},
		{"plugins.json", "GET|/api/v1/plugins|Bearer t||||", func(c *client.Client) (any, error) { return c.Plugins(ctx) }, nil},
		{"plugin.json", "GET|/api/v1/plugins/feed|Bearer t||||", func(c *client.Client) (any, error) { return c.Plugin(ctx, "feed") }, nil},
		{"hosts.json", "GET|/api/v1/system/hosts|Bearer t||||", func(c *client.Client) (any, error) { return c.Hosts(ctx) }, nil},
		{"system.json", "GET|/api/v1/system|Bearer t||||", func(c *client.Client) (any, error) { return c.System(ctx) }, nil},
		{"readyz.json", "GET|/readyz|Bearer t||||", func(c *client.Client) (any, error) { return nil, c.Ready(ctx) }, nil},
	} {
		s := &server{file: c.file, status: 200, header: map[string]string{"Idempotency-Replayed": "true"}}
		v, err := c.call(newClient(t, s))
		if err != nil {
			t.Errorf("%s: %v", c.asked, err)
			continue
		}
		if d := cmp.Diff(c.asked, s.asked); d != "" {
			t.Error(d)
		}
		if c.name != nil && c.name(v) != "orders" {
			t.Errorf("%s: got %+v", c.asked, v)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	s := &server{file: "problem.json", status: 422, header: map[string]string{
		"Content-Type": "application/problem+json", "Retry-After": "3",
	}}
	_, err := newClient(t, s).Graph(context.Background(), "orders")
	p, ok := errors.AsType[*client.Problem](err)
	if !ok || p.RetryAfter != 3*time.Second || len(p.Errors) != 3 || !client.Is(err, "invalid") || client.Is(err, "conflict") {
		t.Fatalf("%#v", err)
	}
	for _, want := range []string{"(422)", "limit: expected number <= 200"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %s", want, err)
		}
	}
	_, err = newClient(t, &server{status: 502}).Graph(context.Background(), "orders")
	if err == nil || !strings.Contains(err.Error(), "is this a Tappet server?") || client.Is(err, "invalid") {
		t.Error(err)
	}
}

func TestAProblemTellsItsPlace(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]client.ProblemError{
		`line 3, column 5: /a: m; s`: {Pointer: "/a", Line: 3, Column: 5, Message: "m", Suggestion: "s"},
		`line 3: m`:                  {Line: 3, Message: "m"},
		`limit: m`:                   {Parameter: "limit", Message: "m"},
	} {
		if got := e.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "127.0.0.1:7700", "ftp://x", "http://", "http://\x00"} {
		if _, err := client.New(base, "t", client.Options{}); err == nil {
			t.Errorf("%q is taken", base)
		}
	}
}
