package api

import (
	"context"
	"net/http"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
)

// System is what the server says of itself.
type System struct {
	Version string       `json:"version" doc:"The program's version." example:"0.1.0"`
	Limits  SystemLimits `json:"limits" doc:"What the server takes."`
}

// SystemLimits are the limits that a caller meets.
type SystemLimits struct {
	RequestBody int64  `json:"request_body" doc:"Bytes of a call's body (limits.request_body)." example:"2097152"`
	HookBody    int64  `json:"hook_body" doc:"Bytes of a webhook's body (limits.hook_body)." example:"10485760"`
	Header      int    `json:"header" doc:"Bytes of a request's header (limits.header)." example:"65536"`
	ReadTimeout string `json:"read_timeout" doc:"Time for a whole request to come in (limits.read_timeout)." example:"1m0s"`
	Wait        string `json:"wait" doc:"The most that wait may ask for (limits.wait)." example:"1m0s"`
	EventDepth  int    `json:"event_depth" doc:"How deep an event may be nested (limits.event_depth)." example:"160"`
}

// Status is the answer to a probe.
type Status struct {
	Status string `json:"status" doc:"What was asked for holds." enum:"ok,ready" example:"ok"`
}

// systemRoutes adds the schemas, the probes and the server's own data.
func (s *Server) systemRoutes(a rest) {
	add(a, s, operation{
		id: "get-graph-schema", method: http.MethodGet, path: "/api/v1/schemas/graph.json", tag: tagSystem,
		summary: "Get the JSON Schema of documents", more: "Draft 2020-12, for editors and linters.",
		answers: map[int]answerDoc{200: {text: "The schema.", body: map[string]any{}}},
	}, func(context.Context, *struct{}) (*reply, error) {
		return &reply{Status: http.StatusOK, ContentType: jsonType, Body: graph.Schema()}, nil
	})
	add(a, s, operation{
		id: "get-system", method: http.MethodGet, path: "/api/v1/system", tag: tagSystem,
		summary: "Get version and limits", more: "Limits are given with the settings they come from.",
		answers: map[int]answerDoc{200: {text: "The server.", body: System{}}},
	}, func(context.Context, *struct{}) (*reply, error) {
		l := s.limits
		return jsonReply(http.StatusOK, System{Version: s.version, Limits: SystemLimits{
			RequestBody: l.RequestBody, HookBody: l.HookBody, Header: l.Header,
			ReadTimeout: l.Read.String(), Wait: l.Wait.String(), EventDepth: l.Depth,
		}})
	})
	add(a, s, operation{
		id: "get-health", method: http.MethodGet, path: "/healthz", tag: tagSystem, open: true,
		summary: "Is the process alive?", more: "Needs no token.",
		answers: map[int]answerDoc{200: {text: "It is.", body: Status{}}},
		errors:  []int{405},
	}, func(context.Context, *struct{}) (*reply, error) {
		return jsonReply(http.StatusOK, Status{Status: "ok"})
	})
	add(a, s, operation{
		id: "get-readiness", method: http.MethodGet, path: "/readyz", tag: tagSystem, open: true,
		summary: "Can it take events?",
		more:    "Whether the store can be written and the triggers are bound. Needs no token; with one, the problem tells why not.",
		answers: map[int]answerDoc{200: {text: "It can.", body: Status{}}},
		errors:  []int{405, 503},
	}, func(ctx context.Context, _ *struct{}) (*reply, error) {
		err := s.ready(ctx)
		if err == nil {
			return jsonReply(http.StatusOK, Status{Status: "ready"})
		}
		detail := "events can't be taken now; with a token, this says why"
		if s.unauthorized(callOf(ctx).r) == nil {
			detail = err.Error()
		}
		return nil, classOf(engine.Unavailable).problem(detail).with("Retry-After", retryAfter(0))
	})
}
