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
	"encoding/json"

	"github.com/tappet-dev/tappet/sdk"
)

// New returns the connector http with its four actions.
//
// Each action gives {status, headers, body}: headers have lower-case names and
// repeated fields joined by ", "; body is parsed by the response's
// Content-Type. A status outside 200–299 is an error (see kindOf) whose result
// is still there.
func New() sdk.Connector {
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
				Keyed:       true,
				KeyField:    "idempotency_key",
				Do:          post,
			},
			{
				Name:        "get",
				Title:       "GET",
				Description: "Asks for a resource, with query parameters.",
				Input:       json.RawMessage(getInput),
				Output:      json.RawMessage(output),
				Idempotent:  true,
				Do:          get,
			},
			{
				Name:        "put",
				Title:       "PUT",
				Description: "Sends the parameters as the body of a PUT request, as JSON unless a header says otherwise.",
				Input:       json.RawMessage(bodyInput),
				Output:      json.RawMessage(output),
				Idempotent:  true,
				Keyed:       true,
				KeyField:    "idempotency_key",
				Do:          put,
			},
			{
				Name:        "custom",
				Title:       "Custom request",
				Description: "Sends any method with a JSON, urlencoded or raw body, or none.",
				Input:       json.RawMessage(customInput),
				Output:      json.RawMessage(output),
				Keyed:       true,
				KeyField:    "idempotency_key",
				Do:          custom,
			},
		},
	}
}
