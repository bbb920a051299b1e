package api

import (
	"encoding/json"
	"slices"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/expr"
)

// Surroundings are what an expression sees. Members that aren't given are null.
type Surroundings struct {
	Graph   string        `json:"graph,omitempty" doc:"A stored graph: the expression has the types of its draft." example:"task-completed"`
	Step    string        `json:"step,omitempty" doc:"The step of that graph that the expression stands in; left out, it sees the outputs of all steps." example:"entry"`
	Key     string        `json:"key,omitempty" doc:"The key of that step: in success_when and paginate, output is in scope, too." example:"with"`
	Data    *ScopeData    `json:"scope,omitempty" doc:"The data."`
	Schemas *ScopeSchemas `json:"schemas,omitempty" doc:"The types of the data; where there is none and no graph, it is inferred from the data."`
}

// ScopeData are the data that an expression sees.
type ScopeData struct {
	Trigger json.RawMessage            `json:"trigger,omitempty" doc:"The event."`
	Steps   map[string]json.RawMessage `json:"steps,omitempty" doc:"The outputs of steps, by id."`
}

// ScopeSchemas are the types of what an expression sees.
type ScopeSchemas struct {
	Trigger json.RawMessage            `json:"trigger,omitempty" doc:"The JSON Schema of the event."`
	Steps   map[string]json.RawMessage `json:"steps,omitempty" doc:"The JSON Schemas of the outputs of steps, by id."`
}

// EvaluateRequest asks for the value of an expression.
type EvaluateRequest struct {
	Expression *string         `json:"expression,omitempty" doc:"An expression, bare or in ${{ }}." example:"upper(trigger.body.title)"`
	Template   json.RawMessage `json:"template,omitempty" doc:"Instead of an expression: any value with ${{ }} in its texts, as a step's with has it."`
	Surroundings
}

// CompleteRequest asks what may stand at a cursor.
type CompleteRequest struct {
	Source string `json:"source" doc:"An expression, or a text with ${{ }} in it." example:"trigger.body.ti"`
	Cursor int    `json:"cursor" minimum:"0" doc:"Where the cursor is: how many characters (code points) stand before it." example:"15"`
	Surroundings
}

// Evaluation is what came of an expression.
type Evaluation struct {
	OK       bool            `json:"ok" doc:"Whether there is a value." example:"true"`
	Value    json.RawMessage `json:"value" doc:"The value; null when there is none, and when it is null."`
	Type     string          `json:"type" doc:"The type that was inferred, in words; empty when the expression can't be compiled." example:"string"`
	Schema   json.RawMessage `json:"schema" doc:"The type as a JSON Schema, null when there is none."`
	Problems []ProblemError  `json:"problems" nullable:"false" doc:"All that is wrong, warnings too. Pointers lead into the template, lines and columns into the text there."`
	Used     Budget          `json:"used" doc:"What the evaluation has used."`
	Budget   Budget          `json:"budget" doc:"What one evaluation may use; zeros when it wasn't evaluated."`
}

// Budget is work and memory.
type Budget struct {
	Steps  int `json:"steps" doc:"Steps of work." example:"12"`
	Bytes  int `json:"bytes" doc:"Bytes of memory, the value included." example:"64"`
	Copies int `json:"copies" doc:"Bytes of data that were copied as they are." example:"0"`
}

// Completion is what may stand at a cursor.
type Completion struct {
	From  int              `json:"from" doc:"Where the part begins that an item replaces, in characters from 0." example:"13"`
	To    int              `json:"to" doc:"Where it ends." example:"15"`
	Items []CompletionItem `json:"items" nullable:"false" doc:"The candidates, the best first."`
}

// CompletionItem is one candidate.
type CompletionItem struct {
	Label  string `json:"label" doc:"What to put in." example:"title"`
	Kind   string `json:"kind" doc:"What it is." enum:"field,function,variable,value" example:"field"`
	Type   string `json:"type" doc:"The type of its value; for a function, of what it gives." example:"string"`
	Doc    string `json:"doc" doc:"What it is for; may be empty." example:""`
	Detail string `json:"detail" doc:"A function's signature, or how a name is written that can't stand bare; may be empty." example:""`
}

// Function is one function of the library.
type Function struct {
	Name      string            `json:"name" doc:"Its name." example:"upper"`
	Group     string            `json:"group" doc:"What it is about." example:"text"`
	Signature string            `json:"signature" doc:"Parameters and result with their types." example:"upper(text: string): string"`
	Doc       string            `json:"doc" doc:"What it gives." example:"The text in upper case."`
	Examples  []FunctionExample `json:"examples" nullable:"false" doc:"Each of them is a test."`
}

// FunctionExample is an expression with its value.
type FunctionExample struct {
	Source string          `json:"source" doc:"The expression." example:"upper(\"a\")"`
	Result json.RawMessage `json:"result" doc:"Its value."`
}

func (s Surroundings) sample() engine.Sample {
	out := engine.Sample{Graph: s.Graph, Step: s.Step, Key: s.Key}
	if s.Data != nil {
		out.Event, out.Steps = s.Data.Trigger, s.Data.Steps
	}
	if s.Schemas != nil {
		out.EventSchema, out.StepSchemas = s.Schemas.Trigger, s.Schemas.Steps
	}
	return out
}

func budgetOf(u expr.Usage) Budget { return Budget{Steps: u.Steps, Bytes: u.Bytes, Copies: u.Copies} }

func evaluationOf(e engine.Evaluated) Evaluation {
	v := Evaluation{
		OK: e.OK(), Value: e.Value, Problems: problemErrors(e.Problems), Used: budgetOf(e.Usage), Budget: budgetOf(e.Budget),
	}
	if e.Type != nil {
		v.Type, v.Schema = e.Type.String(), e.Type.Schema()
	}
	return v
}

func completionOf(c expr.Completion) Completion {
	v := Completion{From: c.From, To: c.To, Items: make([]CompletionItem, len(c.Items))}
	for i, x := range c.Items {
		v.Items[i] = CompletionItem(x)
	}
	return v
}

func functionsOf(library []expr.Function) []Function {
	out := make([]Function, len(library))
	for i, f := range library {
		out[i] = Function{Name: f.Name, Group: f.Group, Signature: f.Signature, Doc: f.Doc, Examples: []FunctionExample{}}
		for _, x := range f.Examples {
			out[i].Examples = append(out[i].Examples, FunctionExample{Source: x.Source, Result: json.RawMessage(x.Result)})
		}
	}
	return slices.Clip(out)
}
