package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// A GraphUse is a graph whose newest version uses a connector.
type GraphUse struct {
	Graph   string
	Version int
	Active  bool
}

// Effect is what another version of a connector does to a graph.
type Effect string

// The effects.
const (
	// Same: the graph's version says the same with it.
	Same Effect = "same"
	// Gains: what the graph uses can do more, and nothing less.
	Gains Effect = "gains"
	// Changes: what the graph uses has changed, and the graph still compiles.
	Changes Effect = "changes"
	// Breaks: the graph doesn't compile with it.
	Breaks Effect = "breaks"
)

// A FieldChange is one difference between two specs of a connector.
type FieldChange struct {
	// Part is the trigger or action, such as "triggers.new_item"; Field is the
	// place in its schemas, such as "event.title", "" for the whole part.
	Part, Field string
	// Change is "added", "removed" or "changed".
	Change string
	// From and To tell the type before and after, as far as there is one.
	From, To string
}

// A GraphImpact is what an upgrade does to one graph.
type GraphImpact struct {
	GraphUse
	Effect   Effect
	Problems []Problem
}

// An Impact is what another version of a connector would do.
type Impact struct {
	Changes []FieldChange
	Graphs  []GraphImpact
}

// Breaking lists the active graphs that the upgrade breaks.
func (i Impact) Breaking() []string {
	var out []string
	for _, g := range i.Graphs {
		if g.Active && g.Effect == Breaks {
			out = append(out, g.Graph)
		}
	}
	return out
}

// Uses lists the graphs whose newest published version uses a connector, ON or
// OFF, by name.
func (e *Engine) Uses(ctx context.Context, connector string) ([]GraphUse, error) {
	var out []GraphUse
	err := e.eachUse(ctx, connector, func(g StoredGraph, _ Version) error {
		out = append(out, GraphUse{Graph: g.Name, Version: g.Version, Active: g.Active})
		return nil
	})
	return out, err
}

// eachUse calls fn for each graph whose newest version uses a connector.
func (e *Engine) eachUse(ctx context.Context, connector string, fn func(StoredGraph, Version) error) error {
	return e.eachVersion(ctx, func(g StoredGraph, v Version) error {
		if !v.Specs.use(connector) {
			return nil
		}
		return fn(g, v)
	})
}

// eachVersion calls fn with each graph's newest version, by the graph's name.
func (e *Engine) eachVersion(ctx context.Context, fn func(StoredGraph, Version) error) error {
	q := GraphQuery{Limit: 200}
	for {
		page, err := e.o.Graphs.Graphs(ctx, q)
		if err != nil {
			return fmt.Errorf("list graphs: %w", err)
		}
		for _, g := range page.Graphs {
			if g.Version == 0 {
				continue
			}
			v, err := e.o.Versions.Version(ctx, g.ID, g.Version)
			if err != nil {
				return fmt.Errorf("read version %d of %s: %w", g.Version, g.Name, err)
			}
			if err := fn(g, v); err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

// use says whether a version uses a connector.
func (s Specs) use(connector string) bool {
	of := func(use string) bool {
		name, _, _ := strings.Cut(use, ".")
		return name == connector
	}
	if of(s.Trigger.Use) {
		return true
	}
	for use, a := range s.Actions {
		if of(use) || of(a.Use) {
			return true
		}
	}
	return false
}

// replaced is what a version was published with, one connector excepted.
type replaced struct {
	rest    Connectors
	digests map[string]string
	by      Connector
}

var _ Connectors = replaced{}

// Connector implements Connectors.
func (r replaced) Connector(name string) (Connector, error) {
	if name == r.by.Name {
		return r.by, nil
	}
	return r.rest.At(name, r.digests[name])
}

// At implements Connectors.
func (r replaced) At(name, digest string) (Connector, error) { return r.rest.At(name, digest) }

// Connectors implements Connectors.
func (r replaced) Connectors() []Connector { return r.rest.Connectors() }

// Impact tells what c would do in the place of the connector of its name: which
// fields change, and what becomes of each graph that uses it. Nothing is
// changed. Graphs are built as they were published, not their drafts.
func (e *Engine) Impact(ctx context.Context, c Connector) (Impact, error) {
	var out Impact
	if old, err := e.o.Connectors.Connector(c.Name); err == nil {
		out.Changes = compareConnectors(old.Connector, c.Connector)
	}
	err := e.eachUse(ctx, c.Name, func(g StoredGraph, v Version) error {
		next, problems := e.rebuild(v, c)
		out.Graphs = append(out.Graphs, GraphImpact{
			GraphUse: GraphUse{Graph: g.Name, Version: g.Version, Active: g.Active},
			Effect:   effectOf(v.Specs, next, problems), Problems: problems,
		})
		return nil
	})
	return out, err
}

// rebuild builds a version anew with c in the place of the connector of its name;
// it gives the specs it would have, and the errors that stand in the way.
func (e *Engine) rebuild(v Version, c Connector) (Specs, []Problem) {
	doc, problems := graph.Parse(v.Document, graph.JSON, e.o.Limits.Document)
	if doc == nil {
		return Specs{}, problems
	}
	cat := newLive(replaced{e.o.Connectors, v.Specs.Digests, c})
	_, more := program.Build(doc, cat)
	return cat.specs, slices.DeleteFunc(append(problems, more...), func(p Problem) bool { return p.Warning })
}

// Upgrade puts c into the place of the connector of its name: each active graph
// whose newest version compiles with it is published anew, all of them in one
// transaction, and is bound to its new version. It gives their names. A graph
// that doesn't compile keeps its version, which goes on with the connector that
// it was published with, as do the runs that have begun.
//
// commit makes c the connector of now. It calls publish once, which is that
// transaction, after it has noted durably what it is about to do and before it
// does it. Whoever crashes before publish is done has upgraded nothing; whoever
// crashes after it has published versions that call c by its digest, which works
// without c being the one of now, and makes it so at the next start: Upgrade done
// again finds no graph to publish and only commits. If commit fails behind
// publish, the names are given along with the error.
func (e *Engine) Upgrade(ctx context.Context, c Connector, commit func(publish func() error) error) ([]string, error) {
	e.upgrading.Lock()
	defer e.upgrading.Unlock()
	var next []Version
	var names []string
	err := e.eachUse(ctx, c.Name, func(g StoredGraph, v Version) error {
		if !g.Active {
			return nil
		}
		specs, problems := e.rebuild(v, c)
		if len(problems) > 0 || sameSpecs(v.Specs, specs) {
			return nil
		}
		v.Specs, v.PublishedAt = specs, e.now()
		next, names = append(next, v), append(names, g.Name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	published := false
	err = commit(func() error {
		if err := e.o.Versions.AddVersions(ctx, next); err != nil {
			return fmt.Errorf("publish the graphs that use %s anew: %w", c.Name, err)
		}
		published = true
		return nil
	})
	if !published {
		return nil, err
	}
	for _, v := range next {
		e.rebind(ctx, v.Graph)
	}
	return names, err
}

// effectOf weighs the specs of a version before and after.
func effectOf(before, after Specs, problems []Problem) Effect {
	if len(problems) > 0 {
		return Breaks
	}
	before.Digests, after.Digests = nil, nil
	if sameSpecs(before, after) {
		return Same
	}
	a, b := before, after
	a.Trigger.Config, a.Trigger.Event, b.Trigger.Config, b.Trigger.Event = nil, nil, nil, nil
	a.Actions, b.Actions = withoutSchemas(a.Actions), withoutSchemas(b.Actions)
	if !sameSpecs(a, b) {
		return Changes
	}
	var diff []FieldChange
	note := func(field string, from, to json.RawMessage) { compareSchemas(&diff, "", field, from, to) }
	note("config", before.Trigger.Config, after.Trigger.Config)
	note("event", before.Trigger.Event, after.Trigger.Event)
	for use, s := range before.Actions {
		note("input", s.Input, after.Actions[use].Input)
		note("output", s.Output, after.Actions[use].Output)
	}
	for _, d := range diff {
		if d.Change != "added" {
			return Changes
		}
	}
	return Gains
}

func withoutSchemas(in map[string]ActionSpec) map[string]ActionSpec {
	out := make(map[string]ActionSpec, len(in))
	for k, s := range in {
		s.Input, s.Output = nil, nil
		out[k] = s
	}
	return out
}

// compareConnectors lists what differs in what two connectors offer, by part.
func compareConnectors(a, b *sdk.Connector) []FieldChange {
	var out []FieldChange
	parts := func(c *sdk.Connector) map[string][2]schemaOf {
		m := map[string][2]schemaOf{}
		for i := range c.Triggers {
			t := &c.Triggers[i]
			m["triggers."+t.Name] = [2]schemaOf{{"config", t.Config}, {"event", t.Event}}
		}
		for i := range c.Actions {
			x := &c.Actions[i]
			m["actions."+x.Name] = [2]schemaOf{{"input", x.Input}, {"output", x.Output}}
		}
		return m
	}
	from, to := parts(a), parts(b)
	names := maps.Clone(from)
	maps.Copy(names, to)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, was := from[name]
		now, is := to[name]
		switch {
		case !is:
			out = append(out, FieldChange{Part: name, Change: "removed"})
		case !was:
			out = append(out, FieldChange{Part: name, Change: "added"})
		default:
			for i := range old {
				compareSchemas(&out, name, old[i].name, old[i].schema, now[i].schema)
			}
		}
	}
	return out
}

type schemaOf struct {
	name   string
	schema json.RawMessage
}

// mostChanges and deepest bound a report: what a plugin tells is foreign.
const (
	mostChanges = 200
	deepest     = 32
)

// compareSchemas lists the fields that differ between two schemas.
func compareSchemas(out *[]FieldChange, part, field string, a, b json.RawMessage) {
	var x, y any
	if json.Unmarshal(orTrue(a), &x) != nil || json.Unmarshal(orTrue(b), &y) != nil {
		return // neither was accepted as a plugin's description
	}
	compareNodes(out, FieldChange{Part: part, Field: field, Change: "changed"}, x, y, 0)
}

func orTrue(s json.RawMessage) json.RawMessage {
	if len(s) == 0 {
		return json.RawMessage("true")
	}
	return s
}

func compareNodes(out *[]FieldChange, at FieldChange, a, b any, depth int) {
	if len(*out) >= mostChanges || depth > deepest {
		return
	}
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	at.From, at.To = typeOf(x), typeOf(y)
	if at.From != at.To || !sameWords(x, y) {
		*out = append(*out, at)
	}
	old, _ := x["properties"].(map[string]any)
	now, _ := y["properties"].(map[string]any)
	names := maps.Clone(old)
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, now)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := FieldChange{Part: at.Part, Field: at.Field + "." + name, Change: "changed"}
		o, was := old[name]
		n, is := now[name]
		switch {
		case was && is:
			if required(x, name) != required(y, name) {
				f.From, f.To = optional(x, name), optional(y, name)
				*out = append(*out, f)
			}
			compareNodes(out, f, o, n, depth+1)
		case was:
			f.Change, f.From = "removed", describe(o)
			*out = append(*out, f)
		default:
			f.Change, f.To = "added", describe(n)
			*out = append(*out, f)
		}
	}
	if _, ok := x["items"]; ok {
		compareNodes(out, FieldChange{Part: at.Part, Field: at.Field + "[]", Change: "changed"}, x["items"], y["items"], depth+1)
	}
}

// sameWords says whether two schemas agree in the words that bind values, beside
// type, properties and items.
func sameWords(a, b map[string]any) bool {
	for _, w := range []string{"enum", "const", "format", "anyOf", "oneOf", "allOf", "additionalProperties", "prefixItems", "writeOnly"} {
		x, errA := json.Marshal(a[w])
		y, errB := json.Marshal(b[w])
		if errA != nil || errB != nil || string(x) != string(y) {
			return false
		}
	}
	return true
}

func describe(schema any) string {
	m, _ := schema.(map[string]any)
	return typeOf(m)
}

func typeOf(s map[string]any) string {
	switch t := s["type"].(type) {
	case string:
		return t
	case []any:
		var all []string
		for _, v := range t {
			all = append(all, fmt.Sprint(v))
		}
		return strings.Join(all, " or ")
	}
	return "any"
}

func required(s map[string]any, name string) bool {
	list, _ := s["required"].([]any)
	return slices.Contains(list, any(name))
}

func optional(s map[string]any, name string) string {
	if required(s, name) {
		return "required"
	}
	return "optional"
}
