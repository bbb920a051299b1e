package api

import (
	"cmp"
	"encoding/json"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// ConnectorSummary is one connector in a list.
type ConnectorSummary struct {
	Name        string `json:"name" doc:"Its name in documents." example:"http"`
	Title       string `json:"title" doc:"Its name for people." example:"HTTP"`
	Description string `json:"description" doc:"What it does." example:"Sends HTTP requests."`
	Version     string `json:"version" doc:"Its author's version." example:"1.0.0"`
	Origin      string `json:"origin" doc:"Where it comes from." enum:"builtin,wasm,native" example:"builtin"`
	Digest      string `json:"digest" doc:"SHA-256 of the plugin's file in hex, empty for a built-in one." example:""`
	Triggers    []Part `json:"triggers" nullable:"false" doc:"What can start a graph."`
	Actions     []Part `json:"actions" nullable:"false" doc:"What a step can use."`
}

// Part is a trigger or an action in a list.
type Part struct {
	Name        string `json:"name" doc:"Its name within the connector." example:"post"`
	Use         string `json:"use" doc:"What a document writes to use it." example:"http.post"`
	Title       string `json:"title" doc:"Its name for people." example:"POST"`
	Description string `json:"description" doc:"What it does." example:"Sends a POST request."`
}

// Connector is the full spec of one connector.
type Connector struct {
	ConnectorSummary
	Needs    Needs     `json:"needs" doc:"What it asks of its host; anything else is refused."`
	Triggers []Trigger `json:"triggers" nullable:"false" doc:"What can start a graph."`
	Actions  []Action  `json:"actions" nullable:"false" doc:"What a step can use."`
	Checks   bool      `json:"checks" doc:"Whether it can try a config." example:"true"`
	// Check is null for a connector that tries anything, too.
	Check   json.RawMessage `json:"check" doc:"JSON Schema of the config that it can try; null when there is none."`
	Options []Chooser       `json:"options" nullable:"false" doc:"The options that fields name, whose values it looks up."`
}

// Chooser looks the values of a field up.
type Chooser struct {
	Name   string          `json:"name" doc:"The name by which the schema of a field names it." example:"repositories"`
	Title  string          `json:"title" doc:"Its name for people." example:"Repositories of the token's owner"`
	Config json.RawMessage `json:"config" doc:"JSON Schema of what the values depend on, null when it takes anything."`
}

// CheckRequest asks whether a config works.
type CheckRequest struct {
	Config json.RawMessage `json:"config,omitempty" doc:"The config, an object that fits the connector's check; left out, an empty one."`
}

// CheckResult is what became of a config that was tried.
type CheckResult struct {
	OK      bool   `json:"ok" doc:"Whether it works." example:"false"`
	Kind    string `json:"kind" doc:"What is wrong, for programs; empty when it works." example:"unauthorized"`
	Message string `json:"message" doc:"What is wrong, for people." example:"the server answered with status 401"`
}

// OptionsRequest asks for the values of a field.
type OptionsRequest struct {
	Options string          `json:"options,omitempty" doc:"The name of the connector's options." example:"repositories"`
	Part    string          `json:"part,omitempty" doc:"Instead of options: the trigger or the action." example:"create_issue"`
	Field   string          `json:"field,omitempty" doc:"Its field that is to be filled, names joined by dots." example:"repository"`
	Config  json.RawMessage `json:"config,omitempty" doc:"What was filled in so far, an object; left out, an empty one. With part, what the options don't know is left out."`
}

// Option is one value to choose.
type Option struct {
	Value json.RawMessage `json:"value" doc:"The field's value." example:"\"ops/alerts\""`
	Title string          `json:"title" doc:"What a person sees; empty: the value." example:"ops/alerts: What is wrong"`
}

// Needs are the capabilities that a connector asks for.
type Needs struct {
	HTTP    []string `json:"http" nullable:"false" doc:"Hosts that it may reach: a name, *.name, {field} (the host in that field), or * for any."`
	Secrets []string `json:"secrets" nullable:"false" doc:"Names of secrets that it may ask for."`
}

// Trigger is the full spec of a trigger.
type Trigger struct {
	Part
	Kind   string          `json:"kind" doc:"How its events come about." enum:"poll,webhook,stream,manual" example:"webhook"`
	Config json.RawMessage `json:"config" doc:"JSON Schema of its with, null when it takes anything."`
	Event  json.RawMessage `json:"event" doc:"JSON Schema of one event, null when it may be anything."`
	Every  string          `json:"every" doc:"How often a poll asks when the graph doesn't say; empty for others." example:"1m0s"`
}

// Action is the full spec of an action.
type Action struct {
	Part
	Input      json.RawMessage `json:"input" doc:"JSON Schema of its with, null when it takes anything."`
	Output     json.RawMessage `json:"output" doc:"JSON Schema of its result, null when it may be anything."`
	Literal    []string        `json:"literal" nullable:"false" doc:"Fields in which expressions are left alone."`
	Idempotent bool            `json:"idempotent" doc:"Whether doing it twice is the same as once." example:"false"`
	Keyed      bool            `json:"keyed" doc:"Whether its calls carry a key by which the receiver tells repeats." example:"true"`
}

func connectorSummaryOf(c engine.Connector) ConnectorSummary {
	v := ConnectorSummary{
		Name: c.Name, Title: cmp.Or(c.Title, c.Name), Description: c.Description, Version: c.Version,
		Origin: c.Origin, Digest: c.Digest,
		Triggers: make([]Part, len(c.Triggers)), Actions: make([]Part, len(c.Actions)),
	}
	for i := range c.Triggers {
		t := &c.Triggers[i]
		v.Triggers[i] = partOf(c.Name, t.Name, t.Title, t.Description)
	}
	for i := range c.Actions {
		a := &c.Actions[i]
		v.Actions[i] = partOf(c.Name, a.Name, a.Title, a.Description)
	}
	return v
}

func partOf(connector, name, title, description string) Part {
	return Part{Name: name, Use: connector + "." + name, Title: cmp.Or(title, name), Description: description}
}

func connectorOf(c engine.Connector) Connector {
	sum := connectorSummaryOf(c)
	v := Connector{
		ConnectorSummary: sum, Needs: needsOf(c.Needs),
		Triggers: make([]Trigger, len(c.Triggers)), Actions: make([]Action, len(c.Actions)),
		Options: make([]Chooser, len(c.Options)),
	}
	if c.Check != nil {
		v.Checks, v.Check = true, c.Check.Config
	}
	for i, o := range c.Options {
		v.Options[i] = Chooser{Name: o.Name, Title: cmp.Or(o.Title, o.Name), Config: o.Config}
	}
	for i := range c.Triggers {
		t := &c.Triggers[i]
		v.Triggers[i] = Trigger{Part: sum.Triggers[i], Kind: string(t.Kind), Config: t.Config, Event: t.Event}
		if t.Kind == sdk.KindPoll {
			every, _ := cmp.Or(t.Every, defaultEvery).MarshalText() // a duration always marshals
			v.Triggers[i].Every = string(every)
		}
	}
	for i := range c.Actions {
		a := &c.Actions[i]
		v.Actions[i] = Action{
			Part: sum.Actions[i], Input: a.Input, Output: a.Output, Literal: list(a.Literal),
			Idempotent: a.Idempotent, Keyed: a.Keyed,
		}
	}
	return v
}

// defaultEvery is what sdk.Trigger.Every says of 0.
const defaultEvery = sdk.Duration(60e9)

func needsOf(n sdk.Needs) Needs { return Needs{HTTP: list(n.HTTP), Secrets: list(n.Secrets)} }

// list gives an empty list for nil, so that it isn't null in JSON.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
