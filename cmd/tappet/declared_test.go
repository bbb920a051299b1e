package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

const declaredGraph = `
name: NAME
trigger: {use: USE, with: {MORE schema: {type: object, required: [task], properties: {task: {type: object, required: [id], properties: {id: {type: integer}}}}}}}
steps: [{id: next, set: '${{ trigger.body.task.id + 1 }}'}]
`

// An event that doesn't fit the schema of its graph starts no run, and the one
// who sent it is told where it is wrong.
func TestDeclaredEvents(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.deploy(t, "by-hook", strings.NewReplacer("NAME", "by-hook", "USE", "webhook", "MORE", "path: declared, respond: result,").Replace(declaredGraph))
	s.deploy(t, "by-hand", strings.NewReplacer("NAME", "by-hand", "USE", "manual", "MORE", "").Replace(declaredGraph))
	for body, want := range map[string]string{
		`{"task": {"id": 41}}`:   "42",
		`{"task": {"id": "41"}}`: "/body/task/id",
		`{"task": {}}`:           "/body/task",
		`[]`:                     "/body",
		``:                       "/body",
	} {
		status := http.StatusUnprocessableEntity
		if want == "42" {
			status = http.StatusOK
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/hooks/declared", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := (&http.Client{Timeout: patience, Transport: transport(t)}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != status || status != http.StatusOK && !strings.Contains(string(b), `"pointer":"`+want+`"`) || status == http.StatusOK && string(b) != want {
			t.Errorf("%q is answered with %s: %s", body, resp.Status, b)
		}
		event := `{}`
		if body != "" {
			event = `{"body": ` + body + `}`
		}
		run, _, err := s.StartRun(t.Context(), "by-hand", client.Start{Event: json.RawMessage(event), Wait: 30 * time.Second})
		if status == http.StatusOK && (err != nil || run.State != "succeeded" || string(run.Result) != want) ||
			status != http.StatusOK && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q by hand: %s, %v", body, run.State, err)
		}
	}
	page, err := s.Runs(t.Context(), client.RunQuery{Limit: 10})
	if err != nil || len(page.Items) != 2 {
		t.Errorf("%d runs, 2 are wanted: %v", len(page.Items), err)
	}
}
