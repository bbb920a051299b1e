package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/tappet-dev/tappet/engine"
)

// apiVersion is that of the contract, not of the program: within v1 there are
// only additions.
const apiVersion = "1.0.0"

const apiDescription = `Everything Tappet can do is done here.

JSON in and out, UTF-8, names in snake_case, times in RFC 3339 (UTC, milliseconds), durations like "1m30s", ids as strings. Documents of graphs are also taken and given as application/yaml. Unknown parameters are refused.

Every call needs "Authorization: Bearer <token>", except for /healthz, /readyz and the webhooks.

Webhooks come in at /hooks/{path}, with any method and any body; the graph that is ON for that path and method says what is taken and answered. Without an answer of its own the caller gets 202 with {"run": "<id>"} and the run's Location as soon as the event is on disk, with "duplicate": true when the event is known already.

Errors are problems of RFC 9457 (application/problem+json).`

// A rest collects the operations of the REST API.
type rest struct{ api huma.API }

// newREST makes an API on the router, free of huma's habits that aren't ours:
// no $schema members, no pages that load from elsewhere, no global state.
func newREST(e *echo.Echo) rest {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[Problem]())
	registry.RegisterTypeAlias(reflect.TypeFor[Timestamp](), reflect.TypeFor[time.Time]())
	format := huma.Format{
		Marshal: func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) },
		Unmarshal: func(b []byte, v any) error {
			return decode(b, v, Limits{}.orDefaults().Depth)
		},
	}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Tappet", Version: apiVersion, Description: apiDescription,
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: "/", Description: "This server."}},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "A token of Tappet's own."},
				},
			},
			Security: []map[string][]string{{"token": {}}},
			Tags: []*huma.Tag{
				{Name: tagGraphs, Description: "Documents of graphs, their versions, and the ON switch."},
				{Name: tagRuns, Description: "What graphs did and do."},
				{Name: tagConnectors, Description: "What graphs can be made of."},
				{Name: tagExpressions, Description: "Expressions, tried and completed for editors."},
				{Name: tagConnections, Description: "What requests are sent with: connections and secrets."},
				{Name: tagSystem, Description: "The server itself."},
			},
		},
		Formats:       map[string]huma.Format{jsonType: format, "json": format},
		DefaultFormat: jsonType,
		Transformers:  []huma.Transformer{completeProblem},
	}
	// Schemas describe answers only, and answers may grow.
	config.AllowAdditionalPropertiesByDefault = true
	return rest{api: humaecho.New(e, config)}
}

const (
	tagGraphs     = "graphs"
	tagRuns       = "runs"
	tagConnectors = "connectors"
	tagSystem     = "system"

	tagConnections = "connections"

	tagExpressions = "expressions"
)

// completeProblem turns huma's errors into ours and names the request in them.
func completeProblem(ctx huma.Context, _ string, v any) (any, error) {
	if m, ok := v.(*huma.ErrorModel); ok {
		url := ctx.URL()
		v = translate(m, unknownParameters(ctx.Operation(), url.Query()))
	}
	if p, ok := v.(*Problem); ok {
		if c := callOf(ctx.Context()); c != nil {
			return c.complete(p), nil
		}
	}
	return v, nil
}

// unknownParameters says which query parameters an operation doesn't have. Huma
// could refuse them too, but would then hide what else is wrong.
func unknownParameters(op *huma.Operation, query url.Values) []ProblemError {
	var out []ProblemError
	for _, name := range slices.Sorted(maps.Keys(query)) {
		known := func(p *huma.Param) bool { return p.In == "query" && p.Name == name }
		if !slices.ContainsFunc(op.Parameters, known) {
			out = append(out, ProblemError{
				Parameter: clip(name), Code: "unknown_parameter", Message: "there is no such parameter here",
			})
		}
	}
	return out
}

// clip keeps what is repeated to a caller short.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// A reply is an answer that worked, encoded already: what can't be encoded is
// known before the answer has begun.
type reply struct {
	Status      int
	ContentType string `header:"Content-Type" hidden:"true"`
	Location    string `header:"Location" hidden:"true"`
	Vary        string `header:"Vary" hidden:"true"`
	Replayed    string `header:"Idempotency-Replayed" hidden:"true"`
	Body        []byte
}

func jsonReply(status int, v any) (*reply, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // nosniff keeps it from being HTML
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write answer: %w", err)
	}
	return &reply{Status: status, ContentType: jsonType, Body: b.Bytes()}, nil
}

// An operation is one call of the API, as its document describes it.
type operation struct {
	id, method, path string
	tag              string
	summary, more    string
	// answers are the statuses that mean success, with what is sent.
	answers map[int]answerDoc
	// body is what is taken; nil: nothing.
	body *huma.RequestBody
	// errors are statuses beside those that every call has.
	errors []int
	// open: no token is needed.
	open bool
}

// An answerDoc describes one answer.
type answerDoc struct {
	text string
	// body is an example of the type that is sent as JSON; nil: none.
	body any
	// document: a graph's document is sent, as JSON or YAML.
	document bool
	// bytes: a file is sent.
	bytes   bool
	headers []string
}

// add registers an operation; the handler's errors become problems. Its answer
// is a reply, or a huma.StreamResponse that writes the answer itself.
func add[I, O any](a rest, s *Server, o operation, handle func(context.Context, *I) (*O, error)) {
	statuses := slices.Sorted(maps.Keys(o.answers))
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.more, Tags: []string{o.tag},
		DefaultStatus: statuses[0], Responses: map[string]*huma.Response{},
	}
	if o.open {
		op.Security = []map[string][]string{{}}
	}
	op.Errors = o.errors
	if !o.open {
		op.Errors = append(slices.Clone(o.errors), http.StatusUnauthorized, http.StatusUnprocessableEntity,
			http.StatusServiceUnavailable)
	}
	for status, d := range o.answers {
		op.Responses[strconv.Itoa(status)] = a.response(d)
	}
	var registered *huma.Operation
	huma.Register(a.api, op, func(ctx context.Context, in *I) (*O, error) {
		if unknown := unknownParameters(registered, callOf(ctx).r.URL.Query()); len(unknown) > 0 {
			return nil, classOf(engine.Invalid).problem(unknown[0].text(), unknown...)
		}
		if o.body == nil {
			if err := noBody(ctx); err != nil {
				return nil, err
			}
		}
		r, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(callOf(ctx), err)
		}
		return r, nil
	})
	// Bodies are read by the handlers, within limits and strictly; huma only
	// describes them, so it learns of them after it has registered.
	registered = a.at(o.method, o.path)
	registered.RequestBody = o.body
	for status, r := range registered.Responses {
		if r.Content["application/octet-stream"] != nil {
			delete(r.Content, "application/octet-stream")
		}
		if status == strconv.Itoa(http.StatusNoContent) {
			r.Content = nil
		}
	}
}

func (a rest) at(method, path string) *huma.Operation {
	item := a.api.OpenAPI().Paths[path]
	switch method {
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodDelete:
		return item.Delete
	}
	return item.Get
}

func (a rest) response(d answerDoc) *huma.Response {
	r := &huma.Response{Description: d.text, Content: map[string]*huma.MediaType{}, Headers: map[string]*huma.Header{}}
	registry := a.api.OpenAPI().Components.Schemas
	switch {
	case d.body != nil && d.document:
		r.Content[jsonType] = &huma.MediaType{Schema: &huma.Schema{AnyOf: []*huma.Schema{
			registry.Schema(reflect.TypeOf(d.body), true, ""), documentSchema(),
		}}}
		r.Content[yamlType] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: "The document."}}
	case d.body != nil:
		r.Content[jsonType] = &huma.MediaType{Schema: registry.Schema(reflect.TypeOf(d.body), true, "")}
	case d.bytes:
		r.Content["*/*"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	case d.document:
		r.Content[jsonType] = &huma.MediaType{Schema: documentSchema()}
	}
	for _, name := range d.headers {
		r.Headers[name] = &huma.Header{Description: headerText(name), Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return r
}

func headerText(name string) string {
	switch name {
	case "Location":
		return "The path of the resource."
	case "Idempotency-Replayed":
		return "true when the key was known: nothing was started, and this is the run that had it first."
	}
	return ""
}

func documentSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: "A graph's document; GET /api/v1/schemas/graph.json gives its JSON Schema.",
	}
}

// documentRequest describes a body that is a document.
func documentRequest() *huma.RequestBody {
	return &huma.RequestBody{
		Description: "The graph's document.", Required: true,
		Content: map[string]*huma.MediaType{
			jsonType: {Schema: documentSchema()},
			yamlType: {Schema: &huma.Schema{Type: huma.TypeString, Description: "The same document as YAML."}},
		},
	}
}

// document gives the OpenAPI document as a file: indented, ending in a newline.
func document(a huma.API) ([]byte, error) {
	b, err := json.Marshal(a.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("write openapi document: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return nil, fmt.Errorf("write openapi document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
