package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/expr"
)

const expressionsPath = "/api/v1/expressions"

// expressionRoutes adds the calls for editors of expressions.
func (s *Server) expressionRoutes(a rest) {
	add(a, s, operation{
		id: "evaluate-expression", method: http.MethodPost, path: expressionsPath + "/evaluate", tag: tagExpressions,
		summary: "Evaluate an expression",
		more: "On sample data: nothing is stored or sent. Types come from a graph's step, from schemas, or else from the " +
			"data themselves. An expression with problems is answered with 200, too: they are what was asked for.",
		body:    a.jsonRequest("An expression or a template, and what it sees.", EvaluateRequest{}),
		answers: map[int]answerDoc{200: {text: "The value and its type, or what is wrong.", body: Evaluation{}}},
		errors:  []int{404, 413, 415},
	}, func(ctx context.Context, _ *struct{}) (*reply, error) {
		var in EvaluateRequest
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, err
		}
		if (in.Expression == nil) == (in.Template == nil) {
			return nil, invalid("parameter", "give an expression or a template")
		}
		q := engine.Evaluation{Template: in.Template, Sample: in.sample()}
		if in.Expression != nil {
			q.Expression = *in.Expression
		}
		out, err := s.engine.Evaluate(ctx, q)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, evaluationOf(out))
	})
	add(a, s, operation{
		id: "complete-expression", method: http.MethodPost, path: expressionsPath + "/complete", tag: tagExpressions,
		summary: "Complete an expression", more: "What may stand at the cursor, given what the expression sees.",
		body:    a.jsonRequest("A source with a cursor, and what it sees.", CompleteRequest{}),
		answers: map[int]answerDoc{200: {text: "What fits there, the best first.", body: Completion{}}},
		errors:  []int{404, 413, 415},
	}, func(ctx context.Context, _ *struct{}) (*reply, error) {
		var in CompleteRequest
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, err
		}
		c, err := s.engine.Complete(ctx, engine.Completing{Source: in.Source, Cursor: in.Cursor, Sample: in.sample()})
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, completionOf(c))
	})
	add(a, s, operation{
		id: "list-functions", method: http.MethodGet, path: expressionsPath + "/functions", tag: tagExpressions,
		summary: "List the functions of expressions", more: "By name, with types, documentation and examples.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page.", body: List[Function]{}}},
	}, func(context.Context, *struct{}) (*reply, error) {
		return jsonReply(http.StatusOK, List[Function]{Items: functionsOf(expr.Library())})
	})
}

// jsonRequest describes a body of JSON of the type of example.
func (a rest) jsonRequest(text string, example any) *huma.RequestBody {
	schema := a.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(example), true, "")
	return &huma.RequestBody{
		Description: text, Required: true, Content: map[string]*huma.MediaType{jsonType: {Schema: schema}},
	}
}

// jsonBody reads a body of JSON into v, strictly.
func (s *Server) jsonBody(ctx context.Context, v any) error {
	r := callOf(ctx).r
	name, p := media(r.Header)
	if p != nil {
		return p
	}
	b, p := read(r, s.limits.requestBound())
	switch {
	case p != nil:
		return p
	case len(b) == 0:
		return invalid("empty", "the body is empty; send a JSON object")
	case name != jsonType:
		return notTaken(name, "the body is sent as application/json").with("Accept", jsonType)
	}
	return strict(b, v, s.limits.Depth)
}

// sampleRequest describes the optional body of a validation.
func sampleRequest() *huma.RequestBody {
	return &huma.RequestBody{
		Description: "A sample event; without a body there is none.",
		Content: map[string]*huma.MediaType{jsonType: {Schema: &huma.Schema{
			Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{
				"sample": {Description: "An event as the trigger gives it.", Type: huma.TypeObject, AdditionalProperties: true},
			},
		}}},
	}
}

// sampleBody reads the optional body of a validation.
func (s *Server) sampleBody(ctx context.Context) (engine.SampleEvent, error) {
	b, err := s.eventBody(ctx)
	if err != nil {
		return engine.SampleEvent{}, err
	}
	var in struct {
		Sample json.RawMessage `json:"sample"`
	}
	if err := strict(b, &in, s.limits.Depth); err != nil {
		return engine.SampleEvent{}, err
	}
	return engine.SampleEvent{Event: in.Sample}, nil
}
