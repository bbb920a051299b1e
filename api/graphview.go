package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
)

// Timestamp is a time as the API writes it: RFC 3339, UTC, milliseconds.
type Timestamp time.Time

const timestampFormat = "2006-01-02T15:04:05.000Z"

// MarshalText writes the time.
func (t Timestamp) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, timestampFormat), nil
}

// timestamp gives nil for a zero time.
func timestamp(t time.Time) *Timestamp {
	if t.IsZero() {
		return nil
	}
	s := Timestamp(t)
	return &s
}

// List is one page.
type List[T any] struct {
	Items      []T    `json:"items" nullable:"false" doc:"The page."`
	NextCursor string `json:"next_cursor" doc:"Give it as cursor to get the next page; empty on the last one." example:""`
}

// Graph is one graph with its draft.
type Graph struct {
	GraphSummary
	ReadySince    *Timestamp      `json:"ready_since" doc:"While it is ON: when ready became what it is, as far as this process knows." example:"2026-11-24T09:31:02.125Z"`
	Checks        []Check         `json:"checks" nullable:"false" doc:"While it is ON: each part that was proved, or wasn't."`
	Draft         json.RawMessage `json:"draft" doc:"The document that is being worked on, as an object; null when it can't be read."`
	DraftProblems []ProblemError  `json:"draft_problems" nullable:"false" doc:"All that is wrong with the draft, warnings too. Publishing needs a draft without errors."`
}

// GraphSummary is one graph in a list.
type GraphSummary struct {
	Name        string            `json:"name" doc:"The graph's name; changing it in the draft renames it." pattern:"^[a-z0-9-]+$" maxLength:"100" example:"task-completed"`
	Description string            `json:"description" doc:"What it is for." example:"A finished project task becomes an entry of the feedback form."`
	Labels      map[string]string `json:"labels" doc:"Free labels of the draft."`
	Active      bool              `json:"active" doc:"Whether it is meant to be ON." example:"true"`
	Ready       bool              `json:"ready" doc:"Whether it is ON and each check holds." example:"true"`
	Version     int               `json:"version" minimum:"0" doc:"The newest published version, 0 when there is none." example:"3"`
	CreatedAt   Timestamp         `json:"created_at" doc:"When it was created." example:"2026-11-24T09:30:00.000Z"`
	UpdatedAt   Timestamp         `json:"updated_at" doc:"When name, description, labels or draft last changed." example:"2026-11-24T09:31:02.125Z"`
}

// Check is one part of readiness.
type Check struct {
	Part   string `json:"part" doc:"What was tried." enum:"version,connector,secret,connection,trigger,route,source" example:"route"`
	OK     bool   `json:"ok" doc:"Whether it holds." example:"true"`
	Detail string `json:"detail" doc:"What was found, and what to do when it doesn't hold." example:"POST /hooks/task-completed"`
}

// Activation is what a switch of a graph came to.
type Activation struct {
	Active bool    `json:"active" doc:"Whether the graph is ON." example:"true"`
	Ready  bool    `json:"ready" doc:"Whether each check holds." example:"true"`
	Checks []Check `json:"checks" nullable:"false" doc:"Each part that was proved, or wasn't."`
}

// Validation is what is known of a document.
type Validation struct {
	Name     string               `json:"name" doc:"The name that the document gives, empty when it can't be read." example:"task-completed"`
	Valid    bool                 `json:"valid" doc:"Whether it could be published." example:"false"`
	Problems []ProblemError       `json:"problems" nullable:"false" doc:"All that is wrong with it, warnings too."`
	Trigger  json.RawMessage      `json:"trigger" doc:"The JSON Schema of the trigger's event, null when it isn't known."`
	Inferred bool                 `json:"inferred" doc:"Whether what the trigger's own schema leaves open was inferred from a sample event." example:"false"`
	Steps    map[string]StepTypes `json:"steps" doc:"The types of the steps, by step id; empty while the document has errors."`
}

// StepTypes are the inferred types of one step.
type StepTypes struct {
	Input  json.RawMessage `json:"input" doc:"The JSON Schema of what goes into it: the mapped fields, the value of set, or the parts of respond."`
	Output json.RawMessage `json:"output" doc:"The JSON Schema of what it gives to later steps."`
}

// GraphVersion is one published version.
type GraphVersion struct {
	VersionSummary
	Document json.RawMessage `json:"document" doc:"The document that was published, in its canonical form."`
}

// VersionSummary is one published version in a list.
type VersionSummary struct {
	Version     int       `json:"version" minimum:"1" doc:"Its number." example:"3"`
	Digest      string    `json:"digest" doc:"SHA-256 of the canonical document without its layout, in hex." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	Evaluator   int       `json:"evaluator" doc:"The version of the expression evaluator it was compiled for." example:"1"`
	PublishedAt Timestamp `json:"published_at" doc:"When it was published." example:"2026-11-24T09:31:02.125Z"`
}

func summaryOf(g engine.Graph) GraphSummary {
	labels := g.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return GraphSummary{
		Name: g.Name, Description: g.Description, Labels: labels,
		Active: g.Active, Ready: g.Active && g.Readiness != nil && g.Readiness.Ready,
		Version:   g.Version,
		CreatedAt: Timestamp(g.CreatedAt), UpdatedAt: Timestamp(g.UpdatedAt),
	}
}

func graphOf(g engine.Graph) Graph {
	v := Graph{GraphSummary: summaryOf(g), Checks: []Check{}, DraftProblems: problemErrors(g.Problems)}
	if g.Readiness != nil {
		v.Checks, v.ReadySince = checksOf(g.Readiness.Checks), timestamp(g.Readiness.Since)
	}
	// A draft that can't be read any more is told by its problems.
	if doc, err := convert(g.Draft, g.DraftFormat, graph.JSON); err == nil && json.Valid(doc) {
		v.Draft = doc
	}
	return v
}

func checksOf(list []engine.Check) []Check {
	out := make([]Check, len(list))
	for i, c := range list {
		out[i] = Check{Part: c.Part, OK: c.OK, Detail: c.Detail}
	}
	return out
}

func problemErrors(list []engine.Problem) []ProblemError {
	out := make([]ProblemError, len(list))
	for i, p := range list {
		out[i] = problemError(p)
	}
	return out
}

func activationOf(active bool, r engine.Readiness) Activation {
	return Activation{Active: active, Ready: active && r.Ready, Checks: checksOf(r.Checks)}
}

func validationOf(name string, v engine.Validation) Validation {
	steps := make(map[string]StepTypes, len(v.Steps))
	for id, t := range v.Steps {
		steps[id] = StepTypes(t)
	}
	return Validation{
		Name: name, Valid: v.OK, Problems: problemErrors(v.Problems), Trigger: v.Trigger, Inferred: v.Inferred, Steps: steps,
	}
}

func versionSummaryOf(v engine.Version) VersionSummary {
	return VersionSummary{
		Version: v.Number, Digest: v.Digest, Evaluator: v.Evaluator,
		PublishedAt: Timestamp(v.PublishedAt),
	}
}

func versionOf(v engine.Version) GraphVersion {
	return GraphVersion{VersionSummary: versionSummaryOf(v), Document: v.Document}
}

// convert gives a document in another format; in its own it stays as it was
// written, with comments and all.
func convert(src []byte, from, to graph.Format) ([]byte, error) {
	if from == to {
		return bytes.TrimSpace(src), nil
	}
	doc, problems := graph.Parse(src, from, graph.Limits{})
	if doc == nil {
		var why error
		for _, p := range problems {
			why = cmp.Or[error](why, p)
		}
		return nil, fmt.Errorf("read document: %w", why)
	}
	if to == graph.JSON {
		return doc.JSON(), nil
	}
	out, err := doc.YAML()
	if err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	return out, nil
}
