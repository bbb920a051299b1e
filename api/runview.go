package api

import (
	"encoding/json"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

// Run is one run with its event and its steps.
type Run struct {
	RunSummary
	Event  json.RawMessage `json:"event" doc:"The event that started it."`
	Result json.RawMessage `json:"result" doc:"The output of the last step, null until it has succeeded."`
	Steps  []Step          `json:"steps" nullable:"false" doc:"The steps, in the document's order, those of on_failure last."`
}

// RunSummary is one run in a list.
type RunSummary struct {
	ID         string     `json:"id" format:"uuid" doc:"A UUID of version 7: ids sort by the time of acceptance." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"`
	Graph      string     `json:"graph" doc:"The graph's present name, empty when the graph was deleted." example:"task-completed"`
	Version    int        `json:"version" doc:"The version of the graph that it runs, to its end." example:"3"`
	State      string     `json:"state" doc:"Where it is." enum:"queued,running,waiting,succeeded,failed,cancelled" example:"succeeded"`
	Attempt    int        `json:"attempt" doc:"1, and one more for each retry by hand." example:"1"`
	Key        *string    `json:"key" doc:"The de-duplication key, null when the event had none." example:"evt-17"`
	AcceptedAt Timestamp  `json:"accepted_at" doc:"When the event was accepted." example:"2026-11-24T09:30:00.000Z"`
	EndedAt    *Timestamp `json:"ended_at" nullable:"true" doc:"When it ended, null while it is open." example:"2026-11-24T09:30:00.420Z"`
	Error      *RunError  `json:"error,omitempty" doc:"Why it failed; only there when it did."`
}

// Step is one step of a run.
type Step struct {
	ID        string          `json:"id" doc:"The step's id in the document." example:"entry"`
	Use       string          `json:"use" doc:"The action, empty for a step that calls none." example:"http.post"`
	OnFailure bool            `json:"on_failure" doc:"Whether it is of on_failure, whose steps start only when the run has failed." example:"false"`
	Status    string          `json:"status" doc:"Where it is; unknown: it was sent, and whether it took effect can't be known." enum:"pending,running,retrying,succeeded,failed,unknown,skipped,cancelled" example:"succeeded"`
	Handled   bool            `json:"handled" doc:"Whether its failure was handled by on_error." example:"false"`
	Output    json.RawMessage `json:"output" doc:"What it gave, null until it has succeeded."`
	Error     *RunError       `json:"error,omitempty" doc:"Why it failed; only there when it did."`
	StartedAt *Timestamp      `json:"started_at" nullable:"true" doc:"When it began, null while it hasn't." example:"2026-11-24T09:30:00.004Z"`
	EndedAt   *Timestamp      `json:"ended_at" nullable:"true" doc:"When it was settled, null while it isn't." example:"2026-11-24T09:30:00.418Z"`
	Warnings  []string        `json:"warnings" nullable:"false" doc:"What isn't as the author may think, for people: such as an answer behind the first."`
	Mapping   []Mapped        `json:"mapping" nullable:"false" doc:"What the computed fields of its action's input were made from, in the document's order; empty until it has begun."`
	Attempts  []Attempt       `json:"attempts" nullable:"false" doc:"Each try of its action."`
}

// Mapped is one computed place of an action's input.
type Mapped struct {
	Pointer    string   `json:"pointer" doc:"The place in the step's with: a JSON pointer (RFC 6901)." example:"/body/title"`
	Expression string   `json:"expression" doc:"What stands there in the document." example:"Task ${{ trigger.body.task.title }} is done"`
	Reads      []string `json:"reads" nullable:"false" doc:"What of the event and of earlier steps it may have read, sorted."`
}

// Attempt is one try of an action.
type Attempt struct {
	Number    int        `json:"number" minimum:"1" doc:"Counts from 1; one in doubt has the number of the one that followed it." example:"1"`
	State     string     `json:"state" doc:"in_doubt: the process died between the call and its outcome, and it was sent again." enum:"running,succeeded,failed,in_doubt" example:"succeeded"`
	StartedAt *Timestamp `json:"started_at" nullable:"true" doc:"When it began, null when that isn't known." example:"2026-11-24T09:30:00.004Z"`
	EndedAt   *Timestamp `json:"ended_at" nullable:"true" doc:"When it was over, null while it runs or when that isn't known." example:"2026-11-24T09:30:00.418Z"`
	Error     *RunError  `json:"error,omitempty" doc:"Why it failed; only there when it did."`
	Exchanges []Exchange `json:"exchanges" nullable:"false" doc:"The HTTP requests that it made, as its host saw them."`
	Warnings  []string   `json:"warnings" nullable:"false" doc:"What its connector said at level warn: the first 8, of at most 500 bytes, without secrets." example:"a key without [] has several files: only the first of them is sent left_out=2"`
	Waiting   string     `json:"waiting" doc:"Why it waits for its turn at a host right now: concurrency, rate, retry_after, quota or probe; empty when it doesn't." example:""`
}

// Exchange is one HTTP request of an action.
type Exchange struct {
	Method     string    `json:"method" doc:"The method." example:"POST"`
	URL        string    `json:"url" doc:"The URL, without user info." example:"https://forms.example.com/entries"`
	Status     int       `json:"status" doc:"The answer's status, 0 when none came." example:"201"`
	StartedAt  Timestamp `json:"started_at" doc:"When it began." example:"2026-11-24T09:30:00.005Z"`
	Waited     int64     `json:"waited_us" doc:"Microseconds that it waited for its turn at the host, 0 when it didn't." example:"250000"`
	WaitReason string    `json:"wait_reason" doc:"Why it waited: concurrency, rate, retry_after, quota or probe; empty when it didn't." example:"rate"`
	DNS        int64     `json:"dns_us" doc:"Microseconds for resolving the name, 0 when it wasn't." example:"810"`
	Connect    int64     `json:"connect_us" doc:"Microseconds for connecting, 0 when it was connected." example:"1200"`
	TLS        int64     `json:"tls_us" doc:"Microseconds for the TLS handshake, 0 without one." example:"5400"`
	FirstByte  int64     `json:"first_byte_us" doc:"Microseconds to the first byte of the answer, 0 when none came." example:"38000"`
	Total      int64     `json:"total_us" doc:"Microseconds in all, the body too." example:"41000"`
	Reused     bool      `json:"reused" doc:"Whether the connection was there already." example:"true"`
	Sent       int64     `json:"sent" doc:"Bytes of the request's body." example:"311"`
	Received   int64     `json:"received" doc:"Bytes of the answer's body." example:"57"`
	Redirects  []string  `json:"redirects" nullable:"false" doc:"The URLs that were followed, in order."`
	Error      string    `json:"error" doc:"Why there is no status or the body broke off, empty otherwise." example:""`
}

// RunError is why a run, a step or an attempt failed.
type RunError struct {
	Kind       string          `json:"kind" doc:"What it means, for programs." example:"unavailable"`
	Message    string          `json:"message" doc:"What it means, for people." example:"POST https://forms.example.com/entries: 503 Service Unavailable"`
	Step       string          `json:"step" doc:"The step that failed, empty when it was none." example:"entry"`
	Pointer    string          `json:"pointer" doc:"The place in the document, for an expression's error; empty otherwise." example:""`
	Retryable  bool            `json:"retryable" doc:"Whether the same may succeed later." example:"true"`
	RetryAfter string          `json:"retry_after" doc:"How long the other side asked to be left alone, empty when it didn't." example:"30s"`
	Data       json.RawMessage `json:"data" doc:"The failed call's result, null when there is none."`
}

func runSummaryOf(r engine.Run, graphName string) RunSummary {
	v := RunSummary{
		ID: r.ID.String(), Graph: graphName, Version: r.Version, State: string(r.State), Attempt: r.Attempt,
		AcceptedAt: Timestamp(r.AcceptedAt), EndedAt: timestamp(r.EndedAt), Error: runErrorOf(r.Err),
	}
	if r.Key != "" {
		v.Key = &r.Key
	}
	return v
}

func runOf(r engine.RunView) Run {
	v := Run{
		RunSummary: runSummaryOf(r.Run, r.GraphName), Event: r.Event, Result: r.Result,
		Steps: make([]Step, len(r.Steps)),
	}
	for i, s := range r.Steps {
		v.Steps[i] = stepOf(s)
	}
	return v
}

func stepOf(s engine.StepView) Step {
	v := Step{
		ID: s.ID, Use: s.Use, OnFailure: s.OnFailure, Status: string(s.Status), Handled: s.Handled, Output: s.Output, Error: runErrorOf(s.Err),
		StartedAt: timestampOf(s.Started), EndedAt: timestampOf(s.Ended), Warnings: append([]string{}, s.Warnings...),
		Mapping:  make([]Mapped, len(s.Mapping)),
		Attempts: make([]Attempt, len(s.Attempts)),
	}
	for i, m := range s.Mapping {
		v.Mapping[i] = Mapped{Pointer: m.Pointer, Expression: m.Expression, Reads: append([]string{}, m.Reads...)}
	}
	for i, a := range s.Attempts {
		v.Attempts[i] = attemptOf(a)
	}
	return v
}

func attemptOf(a engine.Attempt) Attempt {
	v := Attempt{
		Number: a.Number, State: a.State,
		StartedAt: timestamp(a.StartedAt), EndedAt: timestamp(a.EndedAt), Error: runErrorOf(a.Err),
		Warnings:  append([]string{}, a.Warnings...),
		Exchanges: make([]Exchange, len(a.Exchanges)), Waiting: a.Waiting,
	}
	for i, x := range a.Exchanges {
		redirects := x.Redirects
		if redirects == nil {
			redirects = []string{}
		}
		v.Exchanges[i] = Exchange{
			Method: x.Method, URL: x.URL, Status: x.Status, StartedAt: Timestamp(x.Started),
			Waited: x.Waited, WaitReason: x.WaitReason, DNS: x.DNS, Connect: x.Connect, TLS: x.TLS, FirstByte: x.FirstByte, Total: x.Total,
			Reused: x.Reused, Sent: x.Sent, Received: x.Received, Redirects: redirects, Error: x.Error,
		}
	}
	return v
}

func runErrorOf(e *machine.Error) *RunError {
	if e == nil {
		return nil
	}
	v := &RunError{
		Kind: e.Kind, Message: e.Message, Step: e.Step, Pointer: e.Pointer, Retryable: e.Retryable, Data: e.Data,
	}
	if e.RetryAfter > 0 {
		v.RetryAfter = (time.Duration(e.RetryAfter) * time.Millisecond).String()
	}
	return v
}

// timestampOf gives nil for 0, which is "not yet".
func timestampOf(ms machine.Millis) *Timestamp {
	if ms == 0 {
		return nil
	}
	return timestamp(time.UnixMilli(int64(ms)))
}
