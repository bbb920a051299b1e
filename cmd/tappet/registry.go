package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/connectors/http"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/oci"
)

// A registry is every connector there is: the built-in ones and the plugins.
type registry struct {
	builtin map[string]engine.Connector
	plugins *plugins.Catalogue // nil: built-in ones alone
	images  *oci.Registry      // nil: none is asked for plugins
}

var _ engine.Connectors = (*registry)(nil)

func newRegistry(p *plugins.Catalogue) *registry {
	r := &registry{builtin: map[string]engine.Connector{}, plugins: p}
	for _, c := range builtin() {
		r.builtin[c.Name] = engine.Connector{Connector: &c, Origin: "builtin"}
	}
	return r
}

// parses sets the most bytes of a response that the connector http parses.
func (r *registry) parses(most int64) {
	if c, ok := r.builtin["http"]; ok {
		limited := http.NewLimited(http.Limits{Memory: most})
		c.Connector = &limited
		r.builtin["http"] = c
	}
}

// names lists the built-in connectors: no plugin may take them.
func builtinNames() []string {
	var out []string
	for _, c := range builtin() {
		out = append(out, c.Name)
	}
	return out
}

// Connector implements engine.Connectors.
func (r *registry) Connector(name string) (engine.Connector, error) {
	if c, ok := r.builtin[name]; ok {
		return c, nil
	}
	const op = "open connector"
	if r.plugins == nil {
		return engine.Connector{}, &engine.Error{Kind: engine.NotFound, Op: op, Err: fmt.Errorf("there is no connector %q", name)}
	}
	if c, ok := r.plugin(name); ok {
		return c, nil
	}
	if i, ok := r.plugins.Info(name); ok {
		return engine.Connector{}, &engine.Error{Kind: engine.Unavailable, Op: op, Err: fmt.Errorf("the plugin %q (%s) is %s: %s", name, i.File, i.Health.State, i.Health.Reason)}
	}
	return engine.Connector{}, &engine.Error{Kind: engine.NotFound, Op: op, Err: fmt.Errorf("there is no connector %q: no built-in one, and no plugin in the plugins folder", name)}
}

// At implements engine.Connectors.
func (r *registry) At(name, digest string) (engine.Connector, error) {
	if _, ok := r.builtin[name]; ok || digest == "" || r.plugins == nil {
		return r.Connector(name)
	}
	c, kind, err := r.plugins.At(name, digest)
	switch {
	case errors.Is(err, plugins.ErrUnknown):
		return r.Connector(name)
	case err != nil:
		return engine.Connector{}, &engine.Error{Kind: engine.Unavailable, Op: "open connector", Err: err}
	}
	return engine.Connector{Connector: c, Origin: string(kind), Digest: digest}, nil
}

// plugin gives a plugin that can be called.
func (r *registry) plugin(name string) (engine.Connector, bool) {
	c, ok := r.plugins.Connector(name)
	if !ok {
		return engine.Connector{}, false
	}
	i, _ := r.plugins.Info(name)
	return engine.Connector{Connector: &c, Origin: string(i.Kind), Digest: i.Digest}, true
}

// Connectors implements engine.Connectors.
func (r *registry) Connectors() []engine.Connector {
	var out []engine.Connector
	for _, c := range r.builtin {
		out = append(out, c)
	}
	if r.plugins != nil {
		for _, i := range r.plugins.List() {
			if c, ok := r.plugin(i.Name); ok {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, func(a, b engine.Connector) int { return strings.Compare(a.Name, b.Name) })
	return out
}
