package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// A routeTable finds the route of a request, in a time that doesn't grow with the
// number of routes. It is built whole and never changed after that.
//
// A path without parameters comes before one with, and among these the one whose
// first different segment is literal: of a/{x} and {y}/b, a/b is the first's. A
// route that doesn't take the request's method lets the next one have it.
type routeTable struct {
	// literal are the routes of paths without parameters; those of one path take
	// different methods.
	literal map[string][]*route
	// params are the others, by segment.
	params segment
}

// A segment is a place in a path that others go on from.
type segment struct {
	literal map[string]*segment
	// any takes each text but "".
	any *segment
	// routes end here; they take different methods.
	routes []*route
}

func newRouteTable(bindings map[GraphID]*binding) *routeTable {
	t := &routeTable{literal: make(map[string][]*route, len(bindings))}
	for _, b := range bindings {
		if b.route != nil {
			t.add(b.route)
		}
	}
	return t
}

func (t *routeTable) add(r *route) {
	if !r.hasParams() {
		key := r.path.String()
		t.literal[key] = append(t.literal[key], r)
		return
	}
	at := &t.params
	for _, s := range r.path {
		next := &at.any
		if s.Param == "" {
			if at.literal == nil {
				at.literal = map[string]*segment{}
			}
			if at.literal[s.Literal] == nil {
				at.literal[s.Literal] = &segment{}
			}
			at = at.literal[s.Literal]
			continue
		}
		if *next == nil {
			*next = &segment{}
		}
		at = *next
	}
	at.routes = append(at.routes, r)
}

// like gives the routes that take requests of exactly the paths that r takes.
func (t *routeTable) like(r *route) []*route {
	if !r.hasParams() {
		return t.literal[r.path.String()]
	}
	at := &t.params
	for _, s := range r.path {
		if s.Param == "" {
			at = at.literal[s.Literal]
		} else {
			at = at.any
		}
		if at == nil {
			return nil
		}
	}
	return at.routes
}

// rival gives the route of another graph that takes the same requests as r; nil
// if there is none.
func (t *routeTable) rival(r *route) *route {
	for _, other := range t.like(r) {
		if other.graph != r.graph && slices.ContainsFunc(r.methods, other.takes) {
			return other
		}
	}
	return nil
}

// find gives the route of a path, without slashes at its ends, and a method; with
// nil, others are the routes of the path that take other methods.
func (t *routeTable) find(path, method string) (r *route, others []*route) {
	if r = pick(t.literal[path], method); r == nil {
		r = t.params.find(path, method)
	}
	if r != nil {
		return r, nil
	}
	return nil, t.params.all(path, slices.Clip(t.literal[path]))
}

// methods are all that routes take.
func methods(routes []*route) []string {
	var out []string
	for _, r := range routes {
		out = append(out, r.methods...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *segment) find(path, method string) *route {
	text, rest, more := strings.Cut(path, "/")
	for _, next := range [...]*segment{s.literal[text], s.any} {
		if next == nil || text == "" {
			continue
		}
		r := pick(next.routes, method)
		if more {
			r = next.find(rest, method)
		}
		if r != nil {
			return r
		}
	}
	return nil
}

// all adds the routes that a path has, whatever they take.
func (s *segment) all(path string, routes []*route) []*route {
	text, rest, more := strings.Cut(path, "/")
	for _, next := range [...]*segment{s.literal[text], s.any} {
		switch {
		case next == nil || text == "":
		case more:
			routes = next.all(rest, routes)
		default:
			routes = append(routes, next.routes...)
		}
	}
	return routes
}

func pick(routes []*route, method string) *route {
	for _, r := range routes {
		if r.takes(method) {
			return r
		}
	}
	return nil
}

// contested says that a path is another graph's.
func contested(r, other *route) string {
	as := ""
	if r.path.String() != other.path.String() {
		as = ", as /hooks/" + other.path.String()
	}
	return fmt.Sprintf("%s /hooks/%s belongs to the graph %q%s, which is ON: give this one another trigger.with.path",
		strings.Join(r.methods, ", "), r.path, other.name, as)
}

// warnOfPath tells of a draft whose path is that of another graph that is ON. Its
// own graph is self, or the one of its name when self is 0.
func (e *Engine) warnOfPath(ctx context.Context, doc *graph.Document, cat program.Catalogue, self GraphID) []Problem {
	t := &doc.Trigger
	spec, err := cat.Trigger(t.Use)
	if err != nil || spec.Kind != string(sdk.KindWebhook) {
		return nil // it is told elsewhere what a trigger has to be
	}
	config, at, pointer := json.RawMessage("{}"), t.Pos, "/trigger"
	if t.With != nil {
		config = t.With.JSON()
		if v := t.With.Get("path"); v != nil {
			pointer, at = "/trigger/with/path", graph.Pos{Line: v.Line, Column: v.Column}
		}
	}
	r, err := newEndpoint(doc.Name, config)
	if err != nil {
		return nil // as above
	}
	r.graph = self
	other := e.routes.Load().rival(r)
	if other == nil {
		return nil
	}
	// The route may be of a time when the graph had another name.
	g, err := e.o.Graphs.GraphByID(ctx, other.graph)
	if err != nil || self == 0 && g.Name == doc.Name {
		return nil
	}
	now := *other
	now.name = g.Name
	return []Problem{{
		Pointer: pointer, Line: at.Line, Column: at.Column, Code: "path_taken", Message: contested(r, &now), Warning: true,
	}}
}
