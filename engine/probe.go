package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
)

// Checked is what became of a config that was tried.
type Checked struct {
	OK bool
	// Kind and Message say what is wrong with it, as the connector tells it.
	Kind    sdk.Kind
	Message string
}

// Choosing asks for the values that a field may have.
type Choosing struct {
	// Options is the name of the connector's options; or else Part and Field say
	// whose they are: a trigger or an action, and its field, names joined by dots.
	Options, Part, Field string
	// Config is what was filled in so far, a JSON object; nil is an empty one. Of
	// what Part is given, the options take what they know.
	Config json.RawMessage
}

// maxOptions is the most values that a choice gives; a form has no use for more.
const maxOptions = 1000

// CheckConfig tries whether a config works with a connector, such as whether a
// token is taken. That it doesn't is no error.
func (e *Engine) CheckConfig(ctx context.Context, connector string, config json.RawMessage) (Checked, error) {
	op := "check config of " + connector
	c, err := e.o.Connectors.Connector(connector)
	if err != nil {
		return Checked{}, err
	}
	if c.Check == nil || c.Check.Do == nil {
		return Checked{}, &Error{Kind: NotFound, Op: op, Err: fmt.Errorf("the connector %s has no check", connector)}
	}
	if config, err = object(config); err != nil {
		return Checked{}, &Error{Kind: Invalid, Op: op, Err: err}
	}
	err = e.probe(ctx, c, config, func(ctx context.Context, h sdk.Host) error { return c.Check.Do(ctx, h, config) })
	if err != nil {
		return Checked{Kind: sdk.KindOf(err), Message: err.Error()}, nil
	}
	return Checked{OK: true}, nil
}

// ChooseOptions gives the values that a field may have at present, at most 1,000. What
// the connector can't give is Invalid, or Unavailable if it may later.
func (e *Engine) ChooseOptions(ctx context.Context, connector string, q Choosing) ([]sdk.Option, error) {
	op := "list options of " + connector
	c, err := e.o.Connectors.Connector(connector)
	if err != nil {
		return nil, err
	}
	config, err := object(q.Config)
	if err != nil {
		return nil, &Error{Kind: Invalid, Op: op, Err: err}
	}
	name := q.Options
	if name == "" {
		if name, err = optionsOf(c, q.Part, q.Field); err != nil {
			return nil, &Error{Kind: NotFound, Op: op, Err: err}
		}
	}
	chooser := chooserOf(c, name)
	if chooser == nil {
		return nil, &Error{Kind: NotFound, Op: op, Err: fmt.Errorf("the connector %s has no options %.100q", connector, name)}
	}
	if q.Options == "" {
		config = known(config, chooser.Config)
	}
	var out []sdk.Option
	err = e.probe(ctx, c, config, func(ctx context.Context, h sdk.Host) (err error) {
		out, err = chooser.List(ctx, h, sdk.ChooseCall{Options: name, Config: config})
		return err
	})
	if err != nil {
		return nil, probeError(op, err)
	}
	return out[:min(len(out), maxOptions)], nil
}

// probe has fn ask the outside world within the limit of time. What it says of a
// failure holds none of the secrets that it was given.
func (e *Engine) probe(ctx context.Context, c Connector, config json.RawMessage, fn func(context.Context, sdk.Host) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Limits.ProbeTimeout)
	defer cancel()
	var hide mask
	host, done := e.o.Hosts.Host(ctx, HostCall{
		Connector: c, Config: func() []byte { return config }, Record: func(Exchange) {},
		Secret: func(ctx context.Context, name string) (string, error) { return e.noted(ctx, &hide, name) }, Hide: hide.value,
	})
	defer done()
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a connector panicked", "connector", c.Name, "panic", p, "stack", string(debug.Stack()))
			err = sdk.Errorf(sdk.Panicked, "the connector panicked")
		}
	}()
	err = hide.error(fn(ctx, host))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil || sdk.KindOf(err) == sdk.Timeout {
		return sdk.Errorf(sdk.Timeout, "no answer came in time, of which there is %s (limits.probe_timeout): %w", e.o.Limits.ProbeTimeout, err)
	}
	return err
}

// probeError gives a connector's failure a kind of the engine's.
func probeError(op string, err error) error {
	kind := sdk.KindOf(err)
	out := &Error{Kind: Invalid, Op: op, Err: err, Problems: []Problem{{Code: string(kind), Message: err.Error()}}}
	switch kind {
	case sdk.Unavailable, sdk.RateLimited, sdk.Timeout, sdk.Cancelled, sdk.Broken, sdk.Panicked:
		out.Kind = Unavailable
		if x, ok := errors.AsType[*sdk.Error](err); ok {
			out.RetryAfter = x.RetryAfter
		}
	case sdk.Invalid, sdk.Unauthorized, sdk.Denied, sdk.NotFound, sdk.TooLarge, sdk.Unsupported, sdk.Failed, sdk.Unknown:
	}
	return out
}

// object gives a config as an object.
func object(config json.RawMessage) (json.RawMessage, error) {
	config = bytes.TrimSpace(config)
	switch {
	case len(config) == 0 || string(config) == "null":
		return json.RawMessage(`{}`), nil
	case config[0] != '{' || !json.Valid(config):
		return nil, errors.New("config: a JSON object is wanted")
	}
	return config, nil
}

func chooserOf(c Connector, name string) *sdk.Chooser {
	for i := range c.Connector.Options {
		if o := &c.Connector.Options[i]; o.Name == name && o.List != nil {
			return o
		}
	}
	return nil
}

// optionsOf finds the options that a field of a trigger's config or an action's
// input takes its values from.
func optionsOf(c Connector, part, field string) (string, error) {
	var schema json.RawMessage
	found := false
	for i := range c.Triggers {
		if c.Triggers[i].Name == part {
			schema, found = c.Triggers[i].Config, true
		}
	}
	for i := range c.Actions {
		if c.Actions[i].Name == part {
			schema, found = c.Actions[i].Input, true
		}
	}
	if !found {
		return "", fmt.Errorf("the connector %s has no trigger and no action %.100q", c.Name, part)
	}
	var options string
	for name := range strings.SplitSeq(field, ".") {
		var s struct {
			Properties map[string]json.RawMessage `json:"properties"`
		}
		var of struct {
			Options string `json:"options"`
		}
		if json.Unmarshal(schema, &s) != nil || s.Properties[name] == nil {
			return "", fmt.Errorf("%s.%s has no field %.100q", c.Name, part, field)
		}
		schema = s.Properties[name]
		if json.Unmarshal(schema, &of) == nil {
			options = of.Options
		}
	}
	if options == "" {
		return "", fmt.Errorf("the field %.100q of %s.%s has no options: its values are free", field, c.Name, part)
	}
	return options, nil
}

// known leaves in a config what a schema that is closed lists; without such a
// schema it is all that there is.
func known(config, schema json.RawMessage) json.RawMessage {
	var s struct {
		Properties           map[string]json.RawMessage `json:"properties"`
		AdditionalProperties *bool                      `json:"additionalProperties"`
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(schema, &s) != nil || s.AdditionalProperties == nil || *s.AdditionalProperties || json.Unmarshal(config, &fields) != nil {
		return config
	}
	for name := range fields {
		if _, ok := s.Properties[name]; !ok {
			delete(fields, name)
		}
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return config // what was read is written
	}
	return out
}
