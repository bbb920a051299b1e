// Package sdk is what the author of a connector imports.
//
// A connector is data and functions: a [Connector] literal names its triggers
// and actions, gives the JSON Schemas of what they take and give, and holds
// one function for each. The built-in connectors, a WASM module and a native
// process are all this one struct to the engine.
//
// The package is not a framework: nothing is registered, nothing runs by
// itself. Its one rule: it links neither net nor net/http nor crypto/tls,
// because every guest would carry them.
package sdk

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// A Connector is a named set of triggers and actions. Its exported data is the
// connector's spec and travels as JSON; its functions stay where they are.
type Connector struct {
	// Name is [a-z][a-z0-9_]*, at most 64 bytes; graphs use it as "name.action".
	Name string `json:"name"`
	// Title is what a person sees; left out, it is Name.
	Title string `json:"title,omitempty"`
	// Description is plain text of a sentence or two.
	Description string `json:"description,omitempty"`
	// Version is the author's own, by semver.
	Version string `json:"version,omitempty"`
	// Needs is what the connector asks of its host; what isn't named is refused.
	Needs Needs `json:"needs,omitzero"`

	Triggers []Trigger `json:"triggers,omitempty"`
	Actions  []Action  `json:"actions,omitempty"`
	// Check tries whether a config works, such as whether a token is taken; nil:
	// there is nothing to try.
	Check *Checker `json:"check,omitempty"`
	// Options fill the choices of fields; a field names one by its tag options.
	Options []Chooser `json:"options,omitempty"`
}

// A Checker tries whether a config works, without doing anything that lasts.
// [Check] makes one from a typed function.
type Checker struct {
	// Config is the JSON Schema of what is tried, an object.
	Config json.RawMessage `json:"config,omitempty"`

	// Do gives nil if the config works, else an error whose kind says what is
	// wrong with it.
	Do func(ctx context.Context, h Host, config json.RawMessage) error `json:"-"`
}

// A Chooser gives the values that a field may have, asked of the outside world
// while somebody fills a form. [Options] makes one from a typed function.
type Chooser struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	// Config is the JSON Schema of what the choice depends on, an object.
	Config json.RawMessage `json:"config,omitempty"`

	List func(ctx context.Context, h Host, c ChooseCall) ([]Option, error) `json:"-"`
}

// A ChooseCall asks for the options of one field.
type ChooseCall struct {
	Options string
	// Config holds what was filled in so far, a JSON object that fits
	// Chooser.Config.
	Config json.RawMessage
}

// An Option is one value to choose.
type Option struct {
	// Value is the field's value, any JSON.
	Value json.RawMessage `json:"value"`
	// Title is what a person sees; left out, it is Value.
	Title string `json:"title,omitempty"`
}

// Needs are the capabilities that a connector asks for.
type Needs struct {
	// HTTP lists the hosts that Host.HTTP may reach: "api.example.com",
	// "*.example.com", "{url}" (the host of the config or input field url, a
	// URL or a bare host), or "*" (any host; the egress guard still holds).
	HTTP []string `json:"http,omitempty"`
	// Secrets lists the names that Host.Secret may be asked for.
	Secrets []string `json:"secrets,omitempty"`
}

// TriggerKind says how a trigger's events come about.
type TriggerKind string

// The kinds of triggers.
const (
	// KindPoll: the engine asks Trigger.Poll from time to time.
	KindPoll TriggerKind = "poll"
	// KindWebhook: a request to /hooks/<path> is given to Trigger.Webhook.
	KindWebhook TriggerKind = "webhook"
	// KindStream: Trigger.Stream runs for as long as the graph is ON.
	KindStream TriggerKind = "stream"
	// KindManual: runs are started by hand, through the API, and by nothing else.
	KindManual TriggerKind = "manual"
)

// A Trigger turns something that happens into events. The function of its kind
// is set, the others are nil. [Poll], [Webhook] and [Stream] make one from a
// typed function.
type Trigger struct {
	Name        string      `json:"name"`
	Title       string      `json:"title,omitempty"`
	Description string      `json:"description,omitempty"`
	Kind        TriggerKind `json:"kind"`
	// Config is the JSON Schema of the trigger's `with`, an object.
	Config json.RawMessage `json:"config,omitempty"`
	// Event is the JSON Schema of one event.
	Event json.RawMessage `json:"event,omitempty"`
	// Every is how often a poll is asked when neither the graph nor Batch.Next
	// says so; 0 means a minute.
	Every Duration `json:"every,omitzero"`

	// Validate says what is wrong with a config that fits its schema, such as a
	// cron expression that is none; nil: the schema says all. It is pure: it is
	// asked when a graph is saved, and is not told to a plugin's host.
	Validate func(config json.RawMessage) error `json:"-"`
	// Secrets names the secrets that a config refers to: a call with this config may
	// ask Host.Secret for them beside those of Needs. In process only.
	Secrets func(config json.RawMessage) []string `json:"-"`
	// Credentials names the fields of a webhook's requests in which a config wants
	// credentials: their values are kept nowhere. In process only.
	Credentials func(config json.RawMessage) []string `json:"-"`

	Poll    func(context.Context, Host, PollCall) (RawBatch, error)      `json:"-"`
	Webhook func(context.Context, Host, WebhookCall) (RawWebhook, error) `json:"-"`
	// Multipart: Webhook reads a multipart body itself, from
	// WebhookRequest.Stream, and hands its files to [Files.NewFile]. In process
	// only.
	Multipart bool                                                                 `json:"-"`
	Stream    func(ctx context.Context, h Host, c StreamCall, emit EmitFunc) error `json:"-"`
}

// An Action does one thing in the outside world.
type Action struct {
	Name        string `json:"name"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	// Input is the JSON Schema of the action's `with`, an object.
	Input json.RawMessage `json:"input,omitempty"`
	// Output is the JSON Schema of its result.
	Output json.RawMessage `json:"output,omitempty"`
	// Literal names the input fields in which ${{ }} is left alone.
	Literal []string `json:"literal,omitempty"`
	// Idempotent: doing it twice is the same as doing it once, so the engine
	// may repeat a call whose outcome it doesn't know.
	Idempotent bool `json:"idempotent,omitempty"`
	// Keyed: the call carries ActionCall.IdempotencyKey to a receiver that
	// tells repeats by it, with the same effect as Idempotent.
	Keyed bool `json:"keyed,omitempty"`
	// KeyField names the input field that switches the key off when it is
	// false; empty: nothing does.
	KeyField string `json:"key_field,omitempty"`

	// Do carries the action out. It may return a result and an error: a refused
	// call still has a status, headers and a body. The engine alone repeats.
	Do func(context.Context, Host, ActionCall) (Result, error) `json:"-"`
}

// An ActionCall is one attempt of a step.
type ActionCall struct {
	Action string
	// Input holds the mapped fields of `with`, each a valid JSON value, in the
	// order in which the graph gives them.
	Input Fields
	// IdempotencyKey is the same for each attempt of one step of one run.
	IdempotencyKey string
}

// A Field is a name and its JSON value.
type Field struct {
	Name  string
	Value json.RawMessage
}

// Fields is an object whose members were delimited by the one who wrote them,
// so that nobody scans them again.
type Fields []Field

// Get returns the value of the named field, nil if there is none.
func (f Fields) Get(name string) json.RawMessage {
	for i := range f {
		if f[i].Name == name {
			return f[i].Value
		}
	}
	return nil
}

// JSON returns the fields as one JSON object.
func (f Fields) JSON() json.RawMessage {
	n := 2
	for i := range f {
		n += len(f[i].Name) + len(f[i].Value) + 4
	}
	b := append(make([]byte, 0, n), '{')
	for i := range f {
		if i > 0 {
			b = append(b, ',')
		}
		k, _ := json.Marshal(f[i].Name) // a string always marshals
		b = append(append(append(b, k...), ':'), f[i].Value...)
	}
	return append(b, '}')
}

// A Result is what an action gives.
type Result struct {
	// Output is a JSON value that fits Action.Output; nil means null. With an
	// error it is the failure's data.
	Output json.RawMessage
}

// An Event is one thing that happened.
type Event struct {
	// Key tells events apart: a second event with a key that the graph has
	// seen is dropped. Empty: every event is new.
	Key string
	// Data is one JSON document that fits Trigger.Event.
	Data json.RawMessage
}

// A Cursor is an author's own bookmark, kept by the host and given back. It is
// committed together with the events that came with it. Empty at first.
type Cursor string

// A PollCall asks a trigger what there is.
type PollCall struct {
	Trigger string
	// Config is the trigger's `with`, a JSON object that fits Trigger.Config.
	Config json.RawMessage
	Cursor Cursor
}

// A RawBatch is the answer to a poll: what is there now. Events whose keys were
// seen before are dropped by the host, so a poll needn't remember anything.
type RawBatch struct {
	Events []Event
	// Cursor replaces the cursor of the call.
	Cursor Cursor
	// Next says when to ask again; zero leaves it to the graph's `every`.
	Next time.Time
}

// A WebhookCall is one request that came in.
type WebhookCall struct {
	Trigger string
	Config  json.RawMessage
	Request WebhookRequest
	// Trusted: somebody who may has given a kept request in again, without its
	// credentials: who sent it isn't to be checked. It doesn't cross a pipe.
	Trusted bool
}

// A WebhookRequest is a received request, its body in memory within the limit.
type WebhookRequest struct {
	Method string
	// Path is the escaped path below /hooks/.
	Path string
	// Params are the values of the path's parameters, such as {id}, in their order:
	// each is one segment, its percent escapes decoded. They don't cross a pipe.
	Params []Pair
	// Query is the raw query, without "?".
	Query  string
	Header Header
	Body   []byte
	// Remote is the address and port of who sends it, such as "192.0.2.1:4711": the
	// connection's other end, or whom a trusted proxy names, by port 0 if it names
	// none; "" where that isn't known. It doesn't cross a pipe.
	Remote string
	// Stream is a multipart/form-data body (RFC 7578), or one of a type that has no
	// value in JSON, as it arrives, in the place of Body; nil unless the trigger
	// has Multipart. It ends with an error of kind too_large past the host's limit.
	// If it has a method Hold(n int64) error, a trigger that keeps n bytes more of
	// it in memory asks that first. It doesn't cross a pipe.
	Stream io.Reader
}

// A RawWebhook is what became of a request.
type RawWebhook struct {
	Events []Event
	// Wait lets the caller wait for the answer of the run of the first event:
	// its `respond` step or its end. Otherwise the caller is answered as soon
	// as the events are durable.
	Wait bool
	// Answer, if set, is the answer once the events are durable.
	Answer *Answer
}

// An Answer is what the caller of a webhook gets. A Status of 0 means 200.
type Answer struct {
	Status int
	Header Header
	Body   []byte
}

// A StreamCall starts a stream.
type StreamCall struct {
	Trigger string
	Config  json.RawMessage
	Cursor  Cursor
}

// EmitFunc hands events on; it returns when they are durable, with the cursor
// that resumes after them.
type EmitFunc func(ctx context.Context, c Cursor, ev ...Event) error

// Host is what the engine gives to one call. It is bound to that call's graph,
// grants and limits and refuses use after the call has returned. It is safe
// for concurrent use.
type Host interface {
	// HTTP sends one request through the engine's guarded transport. A status
	// of any class is a response, not an error. The caller closes the body.
	// Each call is recorded on the run as an exchange.
	HTTP(ctx context.Context, r *Request) (*Response, error)
	// Log writes to the connector's log; args are slog-like key-value pairs. What
	// an action logs at level warn is recorded on the attempt as well, for those
	// who read the run: the first 8 lines of at most 500 bytes.
	Log(ctx context.Context, level Level, msg string, args ...any)
	// Secret gives a secret that Needs.Secrets names.
	Secret(ctx context.Context, name string) (string, error)
	// State gives what the trigger keeps under key for its graph, nil if there is
	// none. What belongs to the events goes into the cursor: state isn't
	// committed with them. An action has none.
	State(ctx context.Context, key string) ([]byte, error)
	// SetState keeps value under key; it is durable when SetState returns. An
	// empty value forgets the key. Keys and values of one trigger of one graph
	// have [MaxState] bytes together; more is refused with kind too_large.
	SetState(ctx context.Context, key string, value []byte) error
	// Now is the engine's time.
	Now() time.Time
}

// MaxState is the most bytes of keys and values that one trigger of one graph
// may keep with Host.SetState.
const MaxState = 64 << 10

// Level is the weight of a log line.
type Level string

// The levels.
const (
	Debug Level = "debug"
	Info  Level = "info"
	Warn  Level = "warn"
	Fault Level = "error"
)
