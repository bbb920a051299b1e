package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/engine"
)

const eventsPath = "/api/v1/events/"

type eventInput struct {
	Event string `path:"event" doc:"The event's id." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e8"`
}

// EventSummary is something that came in, in a list.
type EventSummary struct {
	ID      string    `json:"id" format:"uuid" doc:"A UUID of version 7: ids sort by the time of arrival." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e8"`
	Graph   string    `json:"graph" doc:"The graph's present name, empty when the graph was deleted." example:"task-completed"`
	At      Timestamp `json:"at" doc:"When it came in." example:"2026-11-24T09:30:00.000Z"`
	Outcome string    `json:"outcome" doc:"What became of it." enum:"run,filtered,duplicate,refused,failed" example:"refused"`
	Reason  string    `json:"reason" doc:"A word. Of refused ones: signature, replay (the signature's time), credential, network, off (the graph was turned OFF a moment ago), or else the type of the problem that the sender was told. Of others: filter, unavailable, internal or reinjected; empty where the outcome says all." example:"signature"`
	Detail  string    `json:"detail" doc:"More of it, for people." example:"webhook: the signature isn't taken: the header X-Hub-Signature-256 is missing"`
	Run     *string   `json:"run" format:"uuid" doc:"The run that it started, or whose duplicate it is; null for others." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"`
	Missed  int       `json:"missed" doc:"How many that were refused since the one before it came faster than they are kept, and are only counted." example:"0"`
	Method  string    `json:"method" doc:"The request's; empty for the event of a poll or a stream." example:"POST"`
	Path    string    `json:"path" doc:"Below /hooks/." example:"task-completed"`
	Query   string    `json:"query" doc:"As it came." example:""`
	Remote  string    `json:"remote" doc:"The connection's other end." example:"192.0.2.1:4711"`
	Size    *int64    `json:"size" nullable:"true" doc:"Of the body in bytes; null when it went into files or wasn't read." example:"2"`
}

// Event is something that came in, with what was kept of it.
type Event struct {
	EventSummary
	Headers    []EventHeader   `json:"headers" nullable:"false" doc:"In their order; *** stands for credentials."`
	Whole      bool            `json:"whole" doc:"Whether all of the body was kept: only then it can be given in again." example:"true"`
	Body       *string         `json:"body" nullable:"true" doc:"The body as it came, null when it isn't text or wasn't kept." example:"{}"`
	BodyBase64 *string         `json:"body_base64" nullable:"true" doc:"The body as it came, where it isn't text." example:"iVBO"`
	Parsed     json.RawMessage `json:"parsed" doc:"The body's value where it is JSON, else null."`
}

// EventHeader is one field.
type EventHeader struct {
	Name  string `json:"name" doc:"As it came." example:"Content-Type"`
	Value string `json:"value" doc:"Its value, *** where it is a credential." example:"application/json"`
}

// Reinjection is the run of something that was given in again.
type Reinjection struct {
	Run string `json:"run" format:"uuid" doc:"The run." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"`
}

// eventRoutes adds the calls of the inbox.
func (s *Server) eventRoutes(a rest) {
	add(a, s, operation{
		id: "list-events", method: http.MethodGet, path: "/api/v1/events", tag: tagRuns,
		summary: "List what came in", more: "Requests of webhooks, and events of polls and streams that started no run, newest first, with what became of them.",
		answers: map[int]answerDoc{200: {text: "One page.", body: List[EventSummary]{}}},
		errors:  []int{404},
	}, s.listEvents)
	add(a, s, operation{
		id: "get-event", method: http.MethodGet, path: eventsPath + "{event}", tag: tagRuns,
		summary: "Get what came in", more: "With its headers and its body.",
		answers: map[int]answerDoc{200: {text: "The event.", body: Event{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *eventInput) (*reply, error) {
		id, err := engine.ParseRunID(in.Event)
		if err != nil {
			return nil, err
		}
		x, err := s.engine.Arrival(ctx, id)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, eventOf(x, s.engine.GraphNames(ctx, []engine.GraphID{x.Graph})[x.Graph]))
	})
	add(a, s, operation{
		id: "reinject-event", method: http.MethodPost, path: eventsPath + "{event}/reinject", tag: tagRuns,
		summary: "Give an event in again",
		more: "Starts a run of it by the newest version of its graph, whatever became of it before: " +
			"signature, credentials, filter and key don't count.",
		answers: map[int]answerDoc{202: {text: "The run is durable.", body: Reinjection{}, headers: []string{"Location"}}},
		errors:  []int{404, 409, 413, 429},
	}, func(ctx context.Context, in *eventInput) (*reply, error) {
		id, err := engine.ParseRunID(in.Event)
		if err != nil {
			return nil, err
		}
		acc, err := s.engine.Reinject(ctx, id)
		if err != nil {
			return nil, err
		}
		return located(http.StatusAccepted, Reinjection{Run: acc.Run.String()}, runsPath+acc.Run.String())
	})
}

func (s *Server) listEvents(ctx context.Context, in *struct {
	Graph   string   `query:"graph" maxLength:"100" doc:"Only those for this graph." example:"task-completed"`
	Outcome []string `query:"outcome,explode" enum:"run,filtered,duplicate,refused,failed" doc:"Only those of which this became; may be repeated." example:"[\"refused\"]"`
	Limit   int      `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many to give at most." example:"50"`
	Cursor  string   `query:"cursor" maxLength:"1000" doc:"The next_cursor of the page before."`
},
) (*reply, error) {
	q := engine.ArrivalQuery{Limit: in.Limit, Cursor: in.Cursor}
	for _, word := range in.Outcome {
		q.Outcomes = append(q.Outcomes, engine.ArrivalOutcome(1+slices.Index(engine.ArrivalOutcomes(), word)))
	}
	page, err := s.engine.Arrivals(ctx, in.Graph, q)
	if err != nil {
		return nil, err
	}
	ids := make([]engine.GraphID, len(page.Arrivals))
	for i, x := range page.Arrivals {
		ids[i] = x.Graph
	}
	names := s.engine.GraphNames(ctx, ids)
	out := List[EventSummary]{Items: make([]EventSummary, len(page.Arrivals)), NextCursor: page.Next}
	for i, x := range page.Arrivals {
		out.Items[i] = eventSummaryOf(x, names[x.Graph])
	}
	return jsonReply(http.StatusOK, out)
}

func eventSummaryOf(x engine.Arrival, graph string) EventSummary {
	v := EventSummary{
		ID: x.ID.String(), Graph: graph, At: Timestamp(x.At), Outcome: x.Outcome.String(), Reason: x.Reason, Detail: x.Detail,
		Missed: x.Missed, Method: x.Method, Path: x.Path, Query: x.Query, Remote: x.Remote,
	}
	if !x.Run.IsZero() {
		run := x.Run.String()
		v.Run = &run
	}
	if x.Size >= 0 {
		v.Size = &x.Size
	}
	return v
}

func eventOf(x engine.Arrival, graph string) Event {
	v := Event{EventSummary: eventSummaryOf(x, graph), Headers: make([]EventHeader, len(x.Header)), Whole: x.Whole(), Parsed: json.RawMessage("null")}
	for i, f := range x.Header {
		v.Headers[i] = EventHeader{Name: f.Name, Value: f.Value}
	}
	switch {
	case x.Body == nil:
	case !utf8.Valid(x.Body):
		text := base64.StdEncoding.EncodeToString(x.Body)
		v.BodyBase64 = &text
	default:
		text := string(x.Body)
		v.Body = &text
		if json.Valid(x.Body) {
			v.Parsed = x.Body
		}
	}
	return v
}
