// Package http calls HTTP services: the actions http.post, http.get, http.put
// and http.custom.
//
// It is not a transport: addresses, timeouts, redirects, limits on size and
// the record of an attempt belong to the host that sends its requests, and
// repeating belongs to the engine alone. Its one rule: one call of an action
// is one call of [sdk.Host.HTTP], and what a graph has mapped goes out as it
// is, or not at all.
package http

import (
	"context"
	"encoding/json"

	"github.com/tappet-dev/tappet/sdk"
)

// Limits bound what one call may hold and give. A zero field means its default.
type Limits struct {
	// Memory bounds the body of a response that is parsed, in bytes, and what
	// becomes of it as JSON; 16 MiB. The host's own limit holds too, and it alone
	// for what becomes a file.
	Memory int64
}

func (l Limits) withDefaults() Limits {
	if l.Memory <= 0 {
		l.Memory = 16 << 20
	}
	return l
}

// New returns the connector http with its four actions, within the default
// limits.
//
// Each action gives {status, headers, body}: headers have lower-case names and
// repeated fields joined by ", "; body is parsed by the response's
// Content-Type, see docs/http.md. A status outside 200–299 is an error (see
// kindOf) whose result is still there, unless it is a redirect and none is to be
// followed.
func New() sdk.Connector { return NewLimited(Limits{}) }

// NewLimited is New within limits of your own.
func NewLimited(l Limits) sdk.Connector {
	c := &caller{limits: l.withDefaults()}
	return sdk.Connector{
		Name:        "http",
		Title:       "HTTP",
		Description: "Calls HTTP services: POST, GET, PUT, or any method with a body of your choice.",
		Version:     "1.0.0",
		Needs:       sdk.Needs{HTTP: []string{"*"}},
		Actions: []sdk.Action{
			{
				Name:        "post",
				Title:       "POST",
				Description: "Sends the parameters as the body of a POST request, as JSON unless a header says otherwise.",
				Input:       json.RawMessage(bodyInput),
				Output:      json.RawMessage(output),
				Literal:     []string{"response_schema"},
				Keyed:       true,
				KeyField:    "idempotency_key",
				Do:          c.action("http.post", "POST"),
			},
			{
				Name:        "get",
				Title:       "GET",
				Description: "Asks for a resource, with query parameters.",
				Input:       json.RawMessage(getInput),
				Output:      json.RawMessage(output),
				Literal:     []string{"response_schema"},
				Idempotent:  true,
				Do:          c.action("http.get", "GET"),
			},
			{
				Name:        "put",
				Title:       "PUT",
				Description: "Sends the parameters as the body of a PUT request, as JSON unless a header says otherwise.",
				Input:       json.RawMessage(bodyInput),
				Output:      json.RawMessage(output),
				Literal:     []string{"response_schema"},
				Idempotent:  true,
				Keyed:       true,
				KeyField:    "idempotency_key",
				Do:          c.action("http.put", "PUT"),
			},
			{
				Name:        "custom",
				Title:       "Custom request",
				Description: "Sends any method with a JSON, urlencoded, form-data (with files), raw or file body, or none.",
				Input:       json.RawMessage(customInput),
				Output:      json.RawMessage(output),
				Literal:     []string{"response_schema"},
				Keyed:       true,
				KeyField:    "idempotency_key",
				Do:          c.action("http.custom", ""),
			},
		},
	}
}

// A caller carries actions out; it is the same for all of them.
type caller struct{ limits Limits }

// action makes the function of one action; the method is empty for custom,
// whose input has it.
func (c *caller) action(op, method string) func(context.Context, sdk.Host, sdk.ActionCall) (sdk.Result, error) {
	return func(ctx context.Context, h sdk.Host, call sdk.ActionCall) (sdk.Result, error) {
		return c.do(ctx, h, call, op, method)
	}
}
