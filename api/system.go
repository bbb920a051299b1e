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

// Host is a host that actions call, as the governor of what goes out sees it.
type Host struct {
	Host          string     `json:"host" doc:"Name or address, and port." example:"api.example.com:443"`
	Active        int        `json:"active" doc:"Calls that are under way." example:"8"`
	Waiting       int        `json:"waiting" doc:"Calls that wait for their turn." example:"120"`
	WaitingGraphs int        `json:"waiting_graphs" doc:"How many graphs these are of; they take turns." example:"2"`
	WaitReason    string     `json:"wait_reason" doc:"Why a call would wait now, empty when it wouldn't: concurrency, rate, retry_after (the host asked for it), quota (its own RateLimit headers) or probe." example:"concurrency"`
	WaitUntil     *Timestamp `json:"wait_until" nullable:"true" doc:"When that ends, null where the end of another call is waited for." example:"2026-11-24T09:30:30Z"`
	Concurrency   int        `json:"concurrency" doc:"The most calls at a time (egress.host)." example:"8"`
	Rate          string     `json:"rate" doc:"The most calls in a second, minute or hour (egress.host), empty when any number may begin." example:"10/s"`
	Breaker       string     `json:"breaker" doc:"open: the host is down and calls fail at once; half_open: one call tries it again." enum:"closed,open,half_open" example:"closed"`
	BreakerSince  *Timestamp `json:"breaker_since" nullable:"true" doc:"Since when, null when it was never open." example:"2026-11-24T09:29:00Z"`
	BreakerUntil  *Timestamp `json:"breaker_until" nullable:"true" doc:"When an open breaker lets a call try." example:"2026-11-24T09:30:00Z"`
	Failures      int        `json:"failures" doc:"Calls that have failed in a row: not connected, no answer in time, 5xx." example:"0"`
	LastFailure   string     `json:"last_failure" doc:"How the last of them failed, empty when there is none." example:""`
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
		id: "list-hosts", method: http.MethodGet, path: "/api/v1/system/hosts", tag: tagSystem,
		summary: "List the hosts that actions call", more: "What is under way and waits at each, why, and whether it is known to be down. Hosts of which there is nothing to say are left out.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page, by name.", body: List[Host]{}}},
	}, func(context.Context, *struct{}) (*reply, error) {
		return jsonReply(http.StatusOK, List[Host]{Items: append([]Host{}, s.hosts()...)})
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
