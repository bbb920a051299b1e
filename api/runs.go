package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

// RunFilter selects runs; the graph is beside it, in the path or the query.
type RunFilter struct {
	State  []string  `query:"state,explode" enum:"queued,running,waiting,succeeded,failed,cancelled" doc:"Only runs in one of these states; may be repeated." example:"[\"failed\"]"`
	From   time.Time `query:"from" doc:"Only runs accepted at this time or later." example:"2026-11-24T00:00:00Z"`
	To     time.Time `query:"to" doc:"Only runs accepted before this time." example:"2026-11-25T00:00:00Z"`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many to give at most." example:"50"`
	Cursor string    `query:"cursor" maxLength:"1000" doc:"The next_cursor of the page before."`
}

type runInput struct {
	Run string `path:"run" doc:"The run's id." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"`
}

// runRoutes adds the calls of runs.
func (s *Server) runRoutes(a rest) {
	add(a, s, operation{
		id: "start-run", method: http.MethodPost, path: graphsPath + "/{graph}/runs", tag: tagRuns,
		summary: "Start a run by hand",
		more: "Runs the newest published version, ON or OFF. The body is the whole event, checked by the trigger's " +
			"schema; none is an empty object.",
		body: &huma.RequestBody{
			Description: "The event.",
			Content: map[string]*huma.MediaType{jsonType: {
				Schema:  &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true},
				Example: map[string]any{"body": map[string]any{"task": map[string]any{"title": "Write the report"}}},
			}},
		},
		answers: map[int]answerDoc{
			200: {text: "The run has ended within wait.", body: Run{}, headers: []string{"Location", "Idempotency-Replayed"}},
			202: {text: "The run is open.", body: Run{}, headers: []string{"Location", "Idempotency-Replayed"}},
		},
		errors: []int{404, 409, 413, 415, 429},
	}, s.startRun)
	add(a, s, operation{
		id: "list-graph-runs", method: http.MethodGet, path: graphsPath + "/{graph}/runs", tag: tagRuns,
		summary: "List the runs of a graph", more: "Newest first.",
		answers: map[int]answerDoc{200: {text: "One page.", body: List[RunSummary]{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *struct {
		Graph string `path:"graph" doc:"The graph's name." example:"task-completed"`
		RunFilter
	},
	) (*reply, error) {
		return s.listRuns(ctx, in.Graph, in.RunFilter)
	})
	add(a, s, operation{
		id: "list-runs", method: http.MethodGet, path: "/api/v1/runs", tag: tagRuns,
		summary: "List runs", more: "Newest first.",
		answers: map[int]answerDoc{200: {text: "One page.", body: List[RunSummary]{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *struct {
		Graph string `query:"graph" maxLength:"100" doc:"Only runs of this graph." example:"task-completed"`
		RunFilter
	},
	) (*reply, error) {
		return s.listRuns(ctx, in.Graph, in.RunFilter)
	})
	add(a, s, operation{
		id: "get-run", method: http.MethodGet, path: runsPath + "{run}", tag: tagRuns,
		summary: "Get a run", more: "With its steps, their attempts, and the requests that those made.",
		answers: map[int]answerDoc{200: {text: "The run.", body: Run{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *runInput) (*reply, error) {
		id, err := engine.ParseRunID(in.Run)
		if err != nil {
			return nil, err
		}
		r, err := s.engine.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, runOf(r))
	})
	add(a, s, operation{
		id: "cancel-run", method: http.MethodPost, path: runsPath + "{run}/cancel", tag: tagRuns,
		summary: "Cancel a run",
		more: "Nothing new is started; what was sent is cut short. A run that has ended stays as it is. " +
			"The answer shows the run as it is now.",
		answers: map[int]answerDoc{202: {text: "The cancel is durable.", body: Run{}, headers: []string{"Location"}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *runInput) (*reply, error) {
		id, err := engine.ParseRunID(in.Run)
		if err != nil {
			return nil, err
		}
		if err := s.engine.CancelRun(ctx, id); err != nil {
			return nil, err
		}
		r, err := s.engine.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		return located(http.StatusAccepted, runOf(r), runsPath+id.String())
	})
}

func (s *Server) startRun(ctx context.Context, in *struct {
	Graph string `path:"graph" doc:"The graph's name." example:"task-completed"`
	Wait  string `query:"wait" doc:"Wait for the end of the run for so long, as in 20s; at most 1m0s unless the server says otherwise." example:"20s"`
	Key   string `header:"Idempotency-Key" maxLength:"255" pattern:"^[ -~]*$" doc:"A repeat with the same key starts nothing and gives the first run." example:"evt-17"`
},
) (*reply, error) {
	wait, err := s.waitOf(in.Wait)
	if err != nil {
		return nil, err
	}
	event, err := s.eventBody(ctx)
	if err != nil {
		return nil, err
	}
	acc, err := s.engine.StartRun(ctx, in.Graph, event, in.Key)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		w, stop := context.WithTimeout(ctx, wait)
		_, err = s.engine.WaitRun(w, acc.Run)
		stop()
		if err != nil {
			return nil, err
		}
	}
	run, err := s.engine.Run(ctx, acc.Run)
	if err != nil {
		return nil, err
	}
	if acc.Duplicate && len(run.Event) > 0 && !sameJSON(event, run.Event) {
		return nil, invalidParameter("Idempotency-Key",
			fmt.Sprintf("it belongs to run %s, which had another event", acc.Run))
	}
	status := http.StatusAccepted
	if run.State.Ended() {
		status = http.StatusOK
	}
	r, err := located(status, runOf(run), runsPath+acc.Run.String())
	if err == nil && acc.Duplicate {
		r.Replayed = "true"
	}
	return r, err
}

// waitOf reads ?wait.
func (s *Server) waitOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, invalidParameter("wait", fmt.Sprintf("%.40q is not a duration such as 20s", text))
	case d < 0 || d > s.limits.Wait:
		return 0, invalidParameter("wait", fmt.Sprintf("it must be from 0s to %s (limits.wait)", s.limits.Wait))
	}
	return d, nil
}

// sameJSON compares values, not their spelling; digits of numbers count.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	for _, side := range []struct {
		src []byte
		dst *any
	}{{a, &x}, {b, &y}} {
		d := json.NewDecoder(bytes.NewReader(side.src))
		d.UseNumber()
		if err := d.Decode(side.dst); err != nil {
			return false
		}
	}
	return reflect.DeepEqual(x, y)
}

func (s *Server) listRuns(ctx context.Context, graphName string, f RunFilter) (*reply, error) {
	q := engine.RunQuery{From: f.From, To: f.To, Limit: f.Limit, Cursor: f.Cursor}
	for _, st := range f.State {
		q.States = append(q.States, machine.State(st))
	}
	page, err := s.engine.Runs(ctx, graphName, q)
	if err != nil {
		return nil, err
	}
	out := List[RunSummary]{Items: make([]RunSummary, len(page.Runs)), NextCursor: page.Next}
	var names map[engine.GraphID]string
	if graphName == "" {
		var ids []engine.GraphID
		for _, r := range page.Runs {
			ids = append(ids, r.Graph)
		}
		names = s.engine.GraphNames(ctx, ids)
	}
	for i, r := range page.Runs {
		name := graphName
		if name == "" {
			name = names[r.Graph]
		}
		out.Items[i] = runSummaryOf(r, name)
	}
	return jsonReply(http.StatusOK, out)
}
