package connectors_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/tappet-dev/tappet/connectors"
	"github.com/tappet-dev/tappet/sdk"
)

func TestBuiltinConnectorsAreWhole(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	last := ""
	for _, c := range connectors.Builtin() {
		if !name.MatchString(c.Name) || c.Name <= last {
			t.Errorf("connector %q after %q: names are [a-z][a-z0-9_]*, in order, each once", c.Name, last)
		}
		last = c.Name
		if c.Title == "" || c.Description == "" || c.Version == "" {
			t.Errorf("%s: title, description and version are wanted", c.Name)
		}
		wantObject := func(what string, schema json.RawMessage) {
			t.Helper()
			var s struct {
				Type                 string          `json:"type"`
				AdditionalProperties json.RawMessage `json:"additionalProperties"`
			}
			if err := json.Unmarshal(schema, &s); err != nil || s.Type != "object" || string(s.AdditionalProperties) != "false" {
				t.Errorf("%s: the schema of %s is no closed object: %+v, %v", c.Name, what, s, err)
			}
		}
		for _, a := range c.Actions {
			if !name.MatchString(a.Name) || a.Title == "" || a.Description == "" || a.Do == nil {
				t.Errorf("%s.%s: name, title, description and function are wanted", c.Name, a.Name)
			}
			wantObject(a.Name+"'s input", a.Input)
			wantObject(a.Name+"'s output", a.Output)
		}
		for _, tr := range c.Triggers {
			if !name.MatchString(tr.Name) || tr.Title == "" || tr.Description == "" {
				t.Errorf("%s.%s: name, title and description are wanted", c.Name, tr.Name)
			}
			if (tr.Poll != nil) != (tr.Kind == sdk.KindPoll) || (tr.Webhook != nil) != (tr.Kind == sdk.KindWebhook) || tr.Stream != nil {
				t.Errorf("%s.%s: the function isn't that of kind %s", c.Name, tr.Name, tr.Kind)
			}
			wantObject(tr.Name+"'s config", tr.Config)
			wantObject(tr.Name+"'s event", tr.Event)
		}
	}
}

func TestBuiltinSharesNothing(t *testing.T) {
	t.Parallel()
	connectors.Builtin()[0].Actions[0].Input[0] = 'x'
	if got := connectors.Builtin()[0].Actions[0].Input; !json.Valid(got) {
		t.Errorf("a change of one list shows in another: %.20s", got)
	}
}
