// Package webhook is the way in: the trigger that turns a request to
// /hooks/<path> into the event of a run.
//
// It is not the ingress: routes, methods, limits on size and time, and the
// answer belong to the one who received the request. Its one rule: a JSON body
// goes into the event as it came, checked in one pass and never decoded.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// op names what was done in errors.
const op = "webhook"

// New returns the connector webhook with its one trigger.
//
// The event is {body, headers, query, method, path, params}. The body is, by
// the request's Content-Type, JSON as it came, an object of an urlencoded
// form's pairs, or text; an empty one is null. Without a Content-Type, bytes
// that begin like an object or a list are JSON, and others are text. Headers
// have lower-case names, repeated ones joined by ", ", and never hold
// credentials (authorization, cookie, proxy-authorization).
func New() sdk.Connector {
	return sdk.Connector{
		Name:        "webhook",
		Title:       "Webhook",
		Description: "Starts a run for each request to an address of the graph's own.",
		Version:     "1.0.0",
		Triggers: []sdk.Trigger{{
			Name:        "webhook",
			Title:       "A request comes in",
			Description: "Another program calls /hooks/ and the graph's path.",
			Kind:        sdk.KindWebhook,
			Config:      json.RawMessage(configSchema),
			Event:       json.RawMessage(eventSchema),
			Webhook:     receive,
		}},
	}
}

const configSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["path"],
  "properties": {
    "path": {
      "type": "string",
      "title": "Path",
      "description": "The address is /hooks/ and this path: segments of letters, digits, dots, dashes, underscores and tildes.",
      "pattern": "^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$",
      "maxLength": 200,
      "examples": ["task-completed"]
    },
    "methods": {
      "type": "array",
      "title": "Methods",
      "description": "The methods that are taken.",
      "items": {"type": "string", "enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
      "minItems": 1,
      "uniqueItems": true,
      "default": ["POST"]
    },
    "respond": {
      "type": "string",
      "title": "Answer",
      "description": "accepted: 202 with the run's id as soon as the event is durable. result: the caller waits for the run's respond step or its end.",
      "enum": ["accepted", "result"],
      "default": "accepted"
    }
  }
}`

const eventSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["body", "headers", "query", "method", "path", "params"],
  "properties": {
    "body": {"title": "Body", "description": "Parsed by the request's Content-Type; null when it was empty."},
    "headers": {
      "type": "object",
      "title": "Headers",
      "description": "By lower-case name; the values of a repeated one are joined by a comma. Credentials are left out.",
      "additionalProperties": {"type": "string"}
    },
    "query": {
      "type": "object",
      "title": "Query",
      "description": "A string for a key that comes once, a list for one that is repeated.",
      "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    },
    "method": {"type": "string", "title": "Method"},
    "path": {"type": "string", "title": "Path", "description": "The escaped path below /hooks/."},
    "params": {
      "type": "object",
      "title": "Path parameters",
      "additionalProperties": {"type": "string"}
    }
  }
}`

// receive makes the event of one request.
func receive(_ context.Context, _ sdk.Host, call sdk.WebhookCall) (sdk.RawWebhook, error) {
	wait, err := waits(call.Config)
	if err != nil {
		return sdk.RawWebhook{}, &sdk.Error{Kind: sdk.Invalid, Op: op, Err: err}
	}
	r := &call.Request
	data, err := appendEvent(make([]byte, 0, estimate(r)), r)
	if err != nil {
		kind := sdk.Invalid
		if _, ok := errors.AsType[*typeError](err); ok {
			kind = sdk.Unsupported
		}
		return sdk.RawWebhook{}, &sdk.Error{Kind: kind, Op: op, Err: err}
	}
	return sdk.RawWebhook{Events: []sdk.Event{{Data: data}}, Wait: wait}, nil
}

// waits reads `respond` out of the trigger's config.
func waits(config []byte) (bool, error) {
	if len(config) == 0 {
		return false, nil
	}
	wait := false
	err := rawjson.Members(config, func(name, value []byte) error {
		if string(name) != `"respond"` {
			return nil
		}
		switch string(value) {
		case `"accepted"`:
			wait = false
		case `"result"`:
			wait = true
		default:
			return fmt.Errorf("respond: %.40s is neither accepted nor result", value)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("config: %w", err)
	}
	return wait, nil
}

// estimate is the size of the event's buffer: enough, unless something has to
// be escaped.
func estimate(r *sdk.WebhookRequest) int {
	n := len(r.Body) + len(r.Method) + len(r.Path) + 2*len(r.Query) + 96
	for i := range r.Header {
		n += len(r.Header[i].Name) + len(r.Header[i].Value) + 6
	}
	return n
}

func appendEvent(dst []byte, r *sdk.WebhookRequest) ([]byte, error) {
	dst = append(dst, `{"body":`...)
	dst, err := appendBody(dst, r)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	dst = append(dst, `,"headers":`...)
	dst = httpjson.AppendHeader(dst, r.Header, isCredential)
	dst = append(dst, `,"query":`...)
	if dst, err = httpjson.AppendForm(dst, r.Query); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	dst = append(dst, `,"method":`...)
	dst = rawjson.AppendString(dst, r.Method)
	dst = append(dst, `,"path":`...)
	dst = rawjson.AppendString(dst, r.Path)
	return append(dst, `,"params":{}}`...), nil
}

// isCredential names the fields that never enter an event: an event is stored.
func isCredential(name string) bool {
	switch len(name) {
	case len("cookie"):
		return httpjson.EqualFold(name, "cookie")
	case len("authorization"):
		return httpjson.EqualFold(name, "authorization")
	case len("proxy-authorization"):
		return httpjson.EqualFold(name, "proxy-authorization")
	}
	return false
}

const taken = "taken are application/json (and types that end in +json), application/x-www-form-urlencoded and text/*"

func appendBody(dst []byte, r *sdk.WebhookRequest) ([]byte, error) {
	if len(r.Body) == 0 {
		return append(dst, "null"...), nil
	}
	kind := r.Header.Get("Content-Type")
	if kind == "" {
		if t := rawjson.Of(r.Body); t == rawjson.Object || t == rawjson.Array {
			return appendJSON(dst, r.Body)
		}
		return appendText(dst, r.Body)
	}
	if kind == "application/json" {
		return appendJSON(dst, r.Body)
	}
	media, charset := httpjson.MediaType(kind)
	switch charset {
	case "", "utf-8", "utf8", "us-ascii":
	default:
		return nil, &typeError{fmt.Sprintf("charset %.40q isn't taken: send UTF-8", charset)}
	}
	switch {
	case httpjson.IsJSON(media):
		return appendJSON(dst, r.Body)
	case media == httpjson.Form:
		return httpjson.AppendForm(dst, string(r.Body))
	case len(media) > 5 && media[:5] == "text/":
		return appendText(dst, r.Body)
	}
	return nil, &typeError{fmt.Sprintf("content type %.80q isn't taken: %s", media, taken)}
}

// typeError says that a body's type isn't taken.
type typeError struct{ msg string }

func (e *typeError) Error() string { return e.msg }

func appendJSON(dst, body []byte) ([]byte, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if err := rawjson.Check(body, 0); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return append(dst, body...), nil
}

func appendText(dst, body []byte) ([]byte, error) {
	if !utf8.Valid(body) {
		return nil, &typeError{"text that isn't UTF-8; " + taken}
	}
	return rawjson.AppendString(dst, body), nil
}
