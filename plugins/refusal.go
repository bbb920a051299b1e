package plugins

import (
	"encoding/json"
	"strings"

	"github.com/tappet-dev/tappet/plugins/contract"
	"github.com/tappet-dev/tappet/sdk"
)

// readSchemas prepares the schemas of a version's events and results.
func (v *version) readSchemas() error {
	v.contracts = map[string]*contract.Contract{}
	read := func(name string, raw json.RawMessage) error {
		if len(raw) == 0 {
			return nil
		}
		c, err := contract.New(raw)
		if err != nil {
			return sdk.Errorf(sdk.Invalid, "read the schema of %s: %w", name, err)
		}
		v.contracts[name] = c
		return nil
	}
	for i := range v.spec.Triggers {
		if err := read(eventOf(v.spec.Triggers[i].Name), v.spec.Triggers[i].Event); err != nil {
			return err
		}
	}
	for i := range v.spec.Actions {
		if err := read(resultOf(v.spec.Actions[i].Name), v.spec.Actions[i].Output); err != nil {
			return err
		}
	}
	return nil
}

// eventOf and resultOf name what a trigger and an action give: they may have the
// same name.
func eventOf(trigger string) string { return "an event of " + trigger }

func resultOf(action string) string { return "a result of " + action }

// refused says why what a plugin gives isn't taken, nil if it is; a refusal is
// counted and kept for the plugin's health.
func (v *version) refused(what string, doc []byte) error {
	c := v.contracts[what]
	if c == nil {
		return nil
	}
	err := c.Fits(doc)
	if err == nil {
		return nil
	}
	what, name, _ := strings.Cut(what, " of ")
	err = sdk.Errorf(sdk.Invalid, "%s of %s.%s doesn't fit the schema that the plugin tells: %w; tell its author", what, v.spec.Name, name, err)
	v.account.refuse(err)
	v.journal.add(sdk.Fault, err.Error(), nil)
	return err
}
