package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// A StepTest says what a step that is tested sees; zero fields leave it to the
// server.
type StepTest struct {
	// Version is a published version; 0: the draft.
	Version int                        `json:"-"`
	Event   json.RawMessage            `json:"event,omitempty"`
	Run     string                     `json:"run,omitempty"`
	Steps   map[string]json.RawMessage `json:"steps,omitempty"`
}

// A StepTestResult is what a step did.
type StepTestResult struct {
	Sources StepTestSources `json:"sources"`
	Input   json.RawMessage `json:"input"`
	// URL, Request and Response are of the last request; Hops those before it.
	URL       string          `json:"url"`
	Request   *WireMessage    `json:"request"`
	Response  *WireMessage    `json:"response"`
	Hops      []WireHop       `json:"hops"`
	Output    json.RawMessage `json:"output"`
	Error     *RunError       `json:"error"`
	Warnings  []string        `json:"warnings"`
	Exchanges []Exchange      `json:"exchanges"`
	// Schemas are inferred from the output, by the input field that takes one.
	Schemas map[string]json.RawMessage `json:"schemas"`
	Curl    string                     `json:"curl"`
}

// StepTestSources tell where the data of a test come from: given, run or
// example.
type StepTestSources struct {
	Event string            `json:"event"`
	Run   string            `json:"run"`
	Steps map[string]string `json:"steps"`
}

// A WireMessage is one side of an HTTP exchange.
type WireMessage struct {
	Bytes string `json:"bytes"`
	// Encoding is text or base64.
	Encoding  string `json:"encoding"`
	Truncated bool   `json:"truncated"`
	// LeftOut is how the body was compressed that isn't in Bytes.
	LeftOut string `json:"left_out"`
}

// A WireHop is a request with its response.
type WireHop struct {
	URL      string      `json:"url"`
	Request  WireMessage `json:"request"`
	Response WireMessage `json:"response"`
}

// A CurlCommand is a step as a command, with notes of what it can't say.
type CurlCommand struct {
	Command string   `json:"command"`
	Notes   []string `json:"notes"`
}

// An ImportedStep is a step that was made of a command.
type ImportedStep struct {
	Step struct {
		ID      string          `json:"id"`
		Use     string          `json:"use"`
		Timeout string          `json:"timeout"`
		With    json.RawMessage `json:"with"`
	} `json:"step"`
	YAML     string   `json:"yaml"`
	Warnings []string `json:"warnings"`
}

// TestStep carries a step out once; that it fails is no error.
func (c *Client) TestStep(ctx context.Context, graph, step string, t StepTest) (StepTestResult, error) {
	return stepCall[StepTestResult](ctx, c, t, "graphs", graph, "steps", step, "test")
}

// PrintStep gives a step as a command of curl; nothing is sent.
func (c *Client) PrintStep(ctx context.Context, graph, step string, t StepTest) (CurlCommand, error) {
	return stepCall[CurlCommand](ctx, c, t, "graphs", graph, "steps", step, "curl")
}

// ImportCurl makes a step of a command of curl.
func (c *Client) ImportCurl(ctx context.Context, command string) (ImportedStep, error) {
	return send[ImportedStep](ctx, c, map[string]string{"command": command}, "connectors", "http", "curl")
}

func stepCall[T any](ctx context.Context, c *Client, t StepTest, segments ...string) (T, error) {
	var out T
	b, err := json.Marshal(t)
	if err != nil {
		return out, err
	}
	v := url.Values{}
	setInt(v, "version", t.Version)
	_, err = c.do(ctx, call{
		method: http.MethodPost, path: path(segments...), query: v, body: b, header: http.Header{"Content-Type": {jsonType}},
	}, &out)
	return out, err
}
