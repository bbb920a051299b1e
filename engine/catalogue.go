package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/cron"
)

// matches says whether a connector answers a search.
func matches(c Connector, q string) bool {
	q = strings.ToLower(q)
	has := func(ss ...string) bool {
		return slices.ContainsFunc(ss, func(s string) bool { return strings.Contains(strings.ToLower(s), q) })
	}
	return has(c.Name, c.Title, c.Description) ||
		slices.ContainsFunc(c.Triggers, func(t sdk.Trigger) bool { return has(t.Name, t.Title) }) ||
		slices.ContainsFunc(c.Actions, func(a sdk.Action) bool { return has(a.Name, a.Title) })
}

// live is the catalogue of what is installed now. It notes what it was asked
// for, which becomes part of the version.
type live struct {
	c     Connectors
	specs Specs
	// secret says why a secret isn't there; nil: nobody knows.
	secret func(name string) error
	// connection says why a connection isn't there; nil: nobody knows.
	connection func(name string) error
	limits     expr.Limits
}

var (
	_ program.Catalogue = (*live)(nil)
	_ program.Limited   = (*live)(nil)

	_ program.Secrets     = (*live)(nil)
	_ program.Connections = (*live)(nil)
)

// live is the catalogue of what is installed now, which knows the secrets that
// are there.
func (e *Engine) live(ctx context.Context) *live {
	l := newLive(e.o.Connectors)
	l.limits = e.o.Limits.Expr
	l.secret = func(name string) error { return e.known(ctx, name) }
	l.connection = func(name string) error {
		err := e.usable(ctx, name)
		if sdk.KindOf(err) != sdk.NotFound {
			return nil // what has to be authorised first may be published
		}
		return err
	}
	return l
}

// Limits implements program.Limited.
func (l *live) Limits() expr.Limits { return l.limits }

// Secret implements program.Secrets.
func (l *live) Secret(name string) error {
	if l.secret == nil {
		return nil
	}
	return l.secret(name)
}

// Connection implements program.Connections.
func (l *live) Connection(name string) error {
	if l.connection == nil {
		return nil
	}
	return l.connection(name)
}

func newLive(c Connectors) *live {
	return &live{c: c, specs: Specs{Actions: map[string]ActionSpec{}, Digests: map[string]string{}}}
}

// open finds the connector of a `use`.
func (l *live) open(use string) (Connector, string, error) {
	name, member, _ := strings.Cut(use, ".")
	c, err := l.c.Connector(name)
	if err == nil {
		if c.Digest != "" {
			l.specs.Digests[name] = c.Digest
		}
		return c, member, nil
	}
	u := &program.UnknownUse{Name: use, Message: fmt.Sprintf("there is no connector %q", name)}
	if KindOf(err) != NotFound {
		u.Message = errors.Unwrap(err).Error()
		return c, "", u
	}
	var names []string
	for _, c := range l.c.Connectors() {
		names = append(names, c.Name)
	}
	if n := expr.Nearest(name, names); n != "" {
		u.Suggestion = fmt.Sprintf("did you mean %q?", strings.Replace(use, name, n, 1))
	} else {
		u.Suggestion = "install its plugin, or see the connectors that are there: GET /api/v1/connectors"
	}
	return c, "", u
}

// Trigger implements program.Catalogue.
func (l *live) Trigger(use string) (program.TriggerSpec, error) {
	c, member, err := l.open(use)
	if err != nil {
		return program.TriggerSpec{}, err
	}
	t, err := findTrigger(c, use, member)
	if err != nil {
		return program.TriggerSpec{}, err
	}
	l.specs.Trigger = TriggerSpec{Use: c.Name + "." + t.Name, Kind: string(t.Kind), Config: t.Config, Event: t.Event}
	spec := l.specs.Trigger.spec()
	if t.Validate != nil {
		spec.Validate = func(config []byte) error { return t.Validate(config) }
	}
	spec.Times = func(expression, zone string) error {
		times, err := cron.Parse(expression, zone)
		if err == nil && times.Next(time.Now()).IsZero() {
			err = errors.New("cron: no such day comes within five years")
		}
		return err
	}
	return spec, nil
}

// Action implements program.Catalogue.
func (l *live) Action(use string) (program.ActionSpec, error) {
	c, member, err := l.open(use)
	if err != nil {
		return program.ActionSpec{}, err
	}
	a, err := findAction(c, use, member)
	if err != nil {
		return program.ActionSpec{}, err
	}
	s := ActionSpec{
		Use: c.Name + "." + a.Name, Input: a.Input, Output: a.Output, Literal: a.Literal,
		Idempotent: a.Idempotent, Keyed: a.Keyed, KeyField: a.KeyField,
	}
	l.specs.Actions[use] = s
	return s.spec(), nil
}

func findTrigger(c Connector, use, member string) (*sdk.Trigger, error) {
	names := make([]string, len(c.Triggers))
	for i := range c.Triggers {
		names[i] = c.Triggers[i].Name
	}
	i, err := find(c.Name, use, member, "trigger", names)
	if err != nil {
		return nil, err
	}
	return &c.Triggers[i], nil
}

func findAction(c Connector, use, member string) (*sdk.Action, error) {
	names := make([]string, len(c.Actions))
	for i := range c.Actions {
		names[i] = c.Actions[i].Name
	}
	i, err := find(c.Name, use, member, "action", names)
	if err != nil {
		return nil, err
	}
	return &c.Actions[i], nil
}

// find gives the index of a member; the name may be left out when there is
// only one.
func find(connector, use, member, what string, names []string) (int, error) {
	if i := slices.Index(names, member); i >= 0 {
		return i, nil
	}
	full := make([]string, len(names))
	for i, n := range names {
		full[i] = connector + "." + n
	}
	u := &program.UnknownUse{Name: use}
	switch {
	case len(names) == 0:
		u.Message = fmt.Sprintf("the connector %q has no %ss", connector, what)
	case member == "" && len(names) == 1:
		return 0, nil
	case member == "":
		u.Message = fmt.Sprintf("the connector %q has more than one %s", connector, what)
		u.Suggestion = "name one: " + strings.Join(full, ", ")
	default:
		u.Message = fmt.Sprintf("the connector %q has no %s %q", connector, what, member)
		if n := expr.Nearest(member, names); n != "" {
			u.Suggestion = fmt.Sprintf("did you mean %q?", connector+"."+n)
		} else {
			u.Suggestion = "it has " + strings.Join(full, ", ")
		}
	}
	return 0, u
}

func (t TriggerSpec) spec() program.TriggerSpec {
	return program.TriggerSpec{Use: t.Use, Kind: t.Kind, Config: t.Config, Event: t.Event}
}

func (a ActionSpec) spec() program.ActionSpec {
	return program.ActionSpec{Use: a.Use, Input: a.Input, Output: a.Output, Literal: a.Literal, Idempotent: a.Idempotent, Keyed: a.Keyed, KeyField: a.KeyField}
}

// frozen is the catalogue of a version: what it was built with.
type frozen struct {
	specs  Specs
	limits expr.Limits
}

var (
	_ program.Catalogue = frozen{}
	_ program.Limited   = frozen{}
	_ program.Taken     = frozen{}
)

// Taken implements program.Taken.
func (frozen) Taken() {}

// Limits implements program.Limited.
func (f frozen) Limits() expr.Limits { return f.limits }

// Trigger implements program.Catalogue.
func (f frozen) Trigger(string) (program.TriggerSpec, error) { return f.specs.Trigger.spec(), nil }

// Action implements program.Catalogue.
func (f frozen) Action(use string) (program.ActionSpec, error) {
	a, ok := f.specs.Actions[use]
	if !ok {
		return program.ActionSpec{}, &program.UnknownUse{Name: use, Message: fmt.Sprintf("the version holds no spec of %q", use)}
	}
	return a.spec(), nil
}

// Installed is the catalogue of what is installed now, to build a program of a
// document that nobody publishes.
func Installed(c Connectors) program.Catalogue { return newLive(c) }
