package engine

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

var jsonHeader = sdk.Header{{Name: "Content-Type", Value: "application/json"}}

// answer makes what `respond` gave an HTTP answer: a text is sent as it is
// when the headers say what it is, anything else as JSON.
func answer(a *machine.Answer) *sdk.Answer {
	out := &sdk.Answer{Status: a.Status, Body: a.Body}
	for _, h := range a.Headers {
		out.Header.Add(h[0], h[1])
	}
	if !out.Header.Has("Content-Type") {
		out.Header = append(out.Header, jsonHeader...)
		return out
	}
	var text string
	if len(a.Body) > 0 && a.Body[0] == '"' && json.Unmarshal(a.Body, &text) == nil {
		out.Body = []byte(text)
	}
	return out
}

// ending is the answer of a run that has none: its result, or its failure.
func ending(end *machine.End) *sdk.Answer {
	if end.State == machine.Succeeded {
		body := end.Result
		if body == nil {
			body = json.RawMessage("null")
		}
		return &sdk.Answer{Status: http.StatusOK, Header: jsonHeader, Body: body}
	}
	body, err := json.Marshal(map[string]any{"state": end.State, "error": publicError(end.Err)})
	if err != nil {
		body = []byte(`{"state":"failed"}`)
	}
	return &sdk.Answer{Status: http.StatusInternalServerError, Header: jsonHeader, Body: body}
}

// publicError is what a webhook's caller, who has no token, may know.
func publicError(e *machine.Error) any {
	if e == nil {
		return nil
	}
	return map[string]string{"kind": e.Kind, "step": e.Step}
}

// checkEvent holds an event to the limits. Built-in connectors write theirs
// from parts that they have checked.
func (e *Engine) checkEvent(c Connector, data json.RawMessage) error {
	if len(data) > e.o.Limits.EventBytes {
		return sdk.Errorf(sdk.TooLarge, "the event is %d bytes, the limit is %d (limits.event_bytes)", len(data), e.o.Limits.EventBytes)
	}
	if c.Origin == builtin {
		return nil
	}
	if err := expr.CheckJSON(data, e.o.Limits.EventDepth); err != nil {
		return sdk.Errorf(sdk.Failed, "the connector %s gave an event that isn't JSON: %w", c.Name, err)
	}
	return nil
}

// checkMembers holds an event or an output, a JSON document, against the schemas
// that the graph's author has given for its members. The problems have no lines:
// the document is the server's own writing.
func (e *Engine) checkMembers(members []program.Member, event json.RawMessage) []Problem {
	if len(members) == 0 {
		return nil
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(event, &parts); err != nil {
		return []Problem{{Code: "type", Message: "it must be an object"}}
	}
	var out []Problem
	for _, m := range members {
		part := parts[m.Name]
		if part == nil {
			part = json.RawMessage("null")
		}
		problems := m.Schema.CheckJSON(part, graph.Pointer("", m.Name), graph.Limits{Bytes: e.o.Limits.EventBytes, Depth: e.o.Limits.EventDepth})
		for _, p := range problems {
			p.Line, p.Column = 0, 0
			out = append(out, p)
		}
	}
	return out
}

// refusal tells a webhook's caller what the trigger's error means for it: what
// is wrong with the request, or that it should come again.
func refusal(op string, err error) *Error {
	e := &Error{Op: op, Err: err}
	switch sdk.KindOf(err) {
	case sdk.Invalid:
		e.Kind = Invalid
		e.Problems = []Problem{{Code: "request", Message: clip(err.Error())}}
	case sdk.Unsupported:
		e.Kind = Unsupported
	case sdk.Unauthorized:
		e.Kind = Unauthorized
	case sdk.Denied:
		e.Kind = Refused
	case sdk.NotFound:
		e.Kind = NotFound
	case sdk.TooLarge:
		e.Kind = TooLarge
	case sdk.RateLimited:
		e.Kind, e.RetryAfter = Overloaded, max(retryAfter(err), time.Second)
	case sdk.Failed, sdk.Unavailable, sdk.Timeout, sdk.Cancelled, sdk.Panicked, sdk.Broken, sdk.Unknown:
		// The trigger itself is in trouble: nothing was accepted, and the same
		// request may be taken later.
		e.Kind, e.RetryAfter = Unavailable, max(retryAfter(err), 5*time.Second)
	default:
		e.Kind = Internal
	}
	return e
}

// eventKey keeps the keys of different triggers of a graph apart.
func eventKey(t *sdk.Trigger, c Connector, key string) string {
	if key == "" {
		return ""
	}
	return c.Name + "." + t.Name + "/" + key
}
