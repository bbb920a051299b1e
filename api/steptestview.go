package api

import (
	"encoding/json"

	"github.com/tappet-dev/tappet/engine"
)

// StepTestRequest says what a step that is tested sees.
type StepTestRequest struct {
	Event json.RawMessage            `json:"event,omitempty" doc:"The event. Without event and run it is that of the graph's newest run, else one made of the trigger's type."`
	Run   string                     `json:"run,omitempty" doc:"A run of the graph: its event and the outputs of its steps." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"`
	Steps map[string]json.RawMessage `json:"steps,omitempty" doc:"Outputs of the steps before, by id. One that isn't given is the run's, else made of the step's type."`
}

// StepTestResult is what a step did.
type StepTestResult struct {
	Sources   StepTestSources `json:"sources" doc:"Where the data come from that the step saw."`
	Input     json.RawMessage `json:"input" doc:"The mapped fields; null when they couldn't be computed, and of a step without use."`
	URL       string          `json:"url" doc:"Where the last request went; empty when none was sent." example:"https://forms.example.com/entries"`
	Request   *WireMessage    `json:"request,omitempty" doc:"The last request as it was sent; only there when one was."`
	Response  *WireMessage    `json:"response,omitempty" doc:"Its response as it came."`
	Hops      []WireHop       `json:"hops" nullable:"false" doc:"The requests before the last one, such as those that were redirected."`
	Output    json.RawMessage `json:"output" doc:"What the step gives; with an error, what the failed call brought along, or null."`
	Error     *RunError       `json:"error,omitempty" doc:"Why it failed; only there when it did."`
	Warnings  []string        `json:"warnings" nullable:"false" doc:"What the connector warned of, and what would be different in a run."`
	Exchanges []Exchange      `json:"exchanges" nullable:"false" doc:"The HTTP requests with their times."`
	Schemas   map[string]any  `json:"schemas" nullable:"false" doc:"JSON Schemas inferred from the output, by the input field that takes one, such as response_schema: written there, it types the mappings after the step."`
	Curl      string          `json:"curl" doc:"A command of curl that sends the same; empty when there is none." example:"curl -X POST https://forms.example.com/entries"`
}

// StepTestSources tell where the data of a test come from.
type StepTestSources struct {
	Event string            `json:"event" doc:"Of the event: given, of a run, or an example made of its type." enum:"given,run,example" example:"run"`
	Run   string            `json:"run" doc:"The run, empty when none was used." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"`
	Steps map[string]string `json:"steps" nullable:"false" doc:"The same of the outputs of the steps before, by id."`
}

// WireMessage is one side of an HTTP exchange.
type WireMessage struct {
	Bytes     string `json:"bytes" doc:"Head and body as they crossed the wire, chunks joined and secrets masked." example:"GET / HTTP/1.1\r\nHost: forms.example.com\r\n\r\n"`
	Encoding  string `json:"encoding" doc:"How bytes is written: base64 when it is no text." enum:"text,base64" example:"text"`
	Truncated bool   `json:"truncated" doc:"Whether there was more." example:"false"`
	LeftOut   string `json:"left_out" doc:"How the body was compressed, which is why only the head is shown; empty otherwise." example:""`
}

// WireHop is a request with its response.
type WireHop struct {
	URL      string      `json:"url" doc:"Where it went." example:"https://forms.example.com/old"`
	Request  WireMessage `json:"request" doc:"The request as it was sent."`
	Response WireMessage `json:"response" doc:"The response as it came."`
}

// CurlCommand is a step as a command.
type CurlCommand struct {
	Command string   `json:"command" doc:"The command, for a POSIX shell." example:"curl https://forms.example.com/entries"`
	Notes   []string `json:"notes" nullable:"false" doc:"What the command can't say, for people."`
}

// CurlCommandRequest is a command to make a step of.
type CurlCommandRequest struct {
	Command string `json:"command" doc:"The command, as for a POSIX shell." example:"curl -X POST https://forms.example.com/entries -d title=Apple"`
}

// ImportedStep is a step that was made of a command.
type ImportedStep struct {
	Step     StepFields `json:"step" doc:"The step."`
	YAML     string     `json:"yaml" doc:"The same as an item of steps in a document."`
	Warnings []string   `json:"warnings" nullable:"false" doc:"What couldn't be carried over, and what to do."`
}

// StepFields are the fields of a step with an action.
type StepFields struct {
	ID      string          `json:"id" doc:"A name for it; choose your own." example:"request"`
	Use     string          `json:"use" doc:"The action." example:"http.post"`
	Timeout string          `json:"timeout,omitempty" doc:"The limit of one call, when there is one." example:"30s"`
	With    json.RawMessage `json:"with" doc:"The fields of the action."`
}

func stepTestResultOf(t engine.StepTested) StepTestResult {
	v := StepTestResult{
		Sources: StepTestSources{Event: string(t.Event), Steps: make(map[string]string, len(t.Steps))},
		Input:   t.Input, Output: t.Output, Error: runErrorOf(t.Err), Warnings: list(t.Warnings),
		Hops:      []WireHop{},
		Schemas:   make(map[string]any, len(t.Schemas)),
		Exchanges: attemptOf(engine.Attempt{Exchanges: t.Exchanges}).Exchanges,
	}
	if !t.Run.IsZero() {
		v.Sources.Run = t.Run.String()
	}
	for id, s := range t.Steps {
		v.Sources.Steps[id] = string(s)
	}
	for field, schema := range t.Schemas {
		v.Schemas[field] = schema
	}
	for i, h := range t.Hops {
		hop := WireHop{URL: h.URL, Request: wireMessageOf(h.Request), Response: wireMessageOf(h.Response)}
		if i+1 < len(t.Hops) {
			v.Hops = append(v.Hops, hop)
		} else {
			v.URL, v.Request, v.Response = hop.URL, &hop.Request, &hop.Response
		}
	}
	return v
}

func wireMessageOf(m engine.Message) WireMessage {
	v := WireMessage{Bytes: m.Bytes, Encoding: "text", Truncated: m.Truncated, LeftOut: m.LeftOut}
	if m.Base64 {
		v.Encoding = "base64"
	}
	return v
}
