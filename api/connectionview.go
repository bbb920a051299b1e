package api

import (
	"encoding/json"

	"github.com/tappet-dev/tappet/engine"
)

// ConnectionKind is a way to prove who asks.
type ConnectionKind struct {
	Name        string          `json:"name" doc:"Its name in connections." example:"basic"`
	Title       string          `json:"title" doc:"Its name for people." example:"User name and password"`
	Description string          `json:"description" doc:"What it adds to requests." example:"Sends a user name and a password with every request."`
	Config      json.RawMessage `json:"config" doc:"JSON Schema of its config; credentials are writeOnly, what the server computes is readOnly."`
	NeedsHosts  bool            `json:"needs_hosts" doc:"Whether a connection of it has to name at least one host." example:"true"`
}

// Connection is what the requests of steps and triggers are sent with.
type Connection struct {
	Name        string          `json:"name" doc:"Its name in documents." example:"forms"`
	Kind        string          `json:"kind" doc:"How it proves who asks." example:"basic"`
	Title       string          `json:"title" doc:"Its name for people." example:"The form app"`
	Config      json.RawMessage `json:"config" doc:"The config without its credentials; with the callback_url of one that a browser authorises."`
	Hosts       []string        `json:"hosts" nullable:"false" doc:"The hosts that its credentials may be sent to."`
	Credentials []string        `json:"credentials" nullable:"false" doc:"The names of the credentials that have a value. No call ever gives the values."`
	State       string          `json:"state" doc:"Whether it can be used: needs_authorization until somebody authorises it or gives it other credentials, failing while something stands in the way that may pass." enum:"ready,needs_authorization,failing" example:"ready"`
	Message     string          `json:"message" doc:"Why it isn't ready, and what to do; empty when it is." example:""`
	ExpiresAt   *Timestamp      `json:"expires_at" nullable:"true" doc:"When its access token expires, null when there is none or that isn't known." example:"2026-11-24T09:30:00.125Z"`
	CreatedAt   *Timestamp      `json:"created_at" doc:"When it was created." example:"2026-11-24T09:30:00.125Z"`
	UpdatedAt   *Timestamp      `json:"updated_at" doc:"When it was last changed; a refreshed token changes it too." example:"2026-11-24T09:30:00.125Z"`
}

// ConnectionDraft is a connection as it is written.
type ConnectionDraft struct {
	Name   string          `json:"name,omitempty" doc:"Its name in documents: a-z, then a-z, 0-9, _ and dashes, at most 64 characters. It never changes." example:"forms"`
	Kind   string          `json:"kind,omitempty" doc:"How it proves who asks; it never changes." example:"basic"`
	Title  string          `json:"title,omitempty" doc:"Its name for people." example:"The form app"`
	Config json.RawMessage `json:"config,omitempty" doc:"An object of the kind's fields. When a connection is replaced, credentials that are left out stay, and null takes one away."`
	Hosts  []string        `json:"hosts,omitempty" doc:"The hosts that its credentials may be sent to: api.example.com, *.example.com, or either with a port." example:"[\"api.example.com\"]"`
}

// ConnectionTest is what became of a test.
type ConnectionTest struct {
	OK      bool   `json:"ok" doc:"Whether it works." example:"true"`
	Status  int    `json:"status,omitempty" doc:"What the service answered at the test_url." example:"200"`
	Message string `json:"message" doc:"What was found, for people." example:"the service has accepted them"`
}

// AuthorizeRequest asks for an address at which a connection is authorised.
type AuthorizeRequest struct {
	ReturnTo string `json:"return_to,omitempty" doc:"A path of this server where the browser is in the end." example:"/connections/forms"`
}

// Authorization is where a browser authorises a connection.
type Authorization struct {
	URL       string     `json:"url" doc:"Opened in a browser, once, it leads to the provider." example:"https://tappet.example.com/oauth/start/4XJ2QF7ZKD5W3M6N"`
	ExpiresAt *Timestamp `json:"expires_at" doc:"Until when it can be opened." example:"2026-11-24T09:40:00.125Z"`
}

// Secret is a secret without its value.
type Secret struct {
	Name      string     `json:"name" doc:"Its name in expressions: secret(\"forms\")." example:"forms"`
	CreatedAt *Timestamp `json:"created_at" doc:"When it was first put." example:"2026-11-24T09:30:00.125Z"`
	UpdatedAt *Timestamp `json:"updated_at" doc:"When it was last put." example:"2026-11-24T09:30:00.125Z"`
	Graphs    []GraphUse `json:"graphs" nullable:"false" doc:"The graphs whose newest version may use it."`
}

// SecretValue is a secret's value.
type SecretValue struct {
	Value string `json:"value" doc:"The value: a text of 4 bytes to 64 KiB. It is sealed, and no call ever gives it." example:"Bearer 8f1c07d2"`
}

// GraphUse is a graph whose newest version uses something.
type GraphUse struct {
	Graph   string `json:"graph" doc:"The graph's name." example:"orders"`
	Version int    `json:"version" doc:"Its newest version." example:"3"`
	Active  bool   `json:"active" doc:"Whether it is ON." example:"true"`
}

func graphUses(uses []engine.GraphUse) []GraphUse {
	out := make([]GraphUse, len(uses))
	for i, u := range uses {
		out[i] = GraphUse(u)
	}
	return out
}
