package plugins

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/plugins/contract"
	"github.com/tappet-dev/tappet/sdk"
)

const (
	maxName    = 64
	maxMembers = 256
)

// findings gathers what is wrong with a manifest, each with its path.
type findings []string

func (f *findings) add(path, format string, args ...any) {
	*f = append(*f, path+": "+fmt.Sprintf(format, args...))
}

// readManifest reads and checks a plugin's description. The error, of kind
// invalid, lists all that is wrong.
func readManifest(b []byte, reserved []string) (sdk.Connector, error) {
	var c sdk.Connector
	if !utf8.Valid(b) {
		return c, sdk.Errorf(sdk.Invalid, "the plugin's description is not valid UTF-8")
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, sdk.Errorf(sdk.Invalid, "read the plugin's description: %w", err)
	}
	var f findings
	switch {
	case !isName(c.Name):
		f.add("name", "%.80q is not a name: a-z first, then a-z, 0-9 and _, at most %d", c.Name, maxName)
	case slices.Contains(reserved, c.Name):
		f.add("name", "%q is the name of a built-in connector; choose another", c.Name)
	}
	for i, n := range c.Needs.HTTP {
		if !isHostPattern(n) {
			f.add(fmt.Sprintf("needs.http[%d]", i), "%.80q is not a host, *.host, {field} or *", n)
		}
	}
	for i, n := range c.Needs.Secrets {
		if !isSecretName(n) {
			f.add(fmt.Sprintf("needs.secrets[%d]", i), "%.80q is not the name of a secret: a-z first, then a-z, 0-9, _ and -, at most %d", n, maxName)
		}
	}
	if len(c.Triggers)+len(c.Actions) == 0 {
		f.add("triggers", "the plugin has neither triggers nor actions")
	}
	if n := len(c.Triggers) + len(c.Actions); n > maxMembers {
		f.add("triggers", "%d triggers and actions, %d are allowed", n, maxMembers)
		return c, f.err()
	}
	checkTriggers(&f, c.Triggers)
	checkActions(&f, c.Actions)
	checkChoices(&f, &c)
	return c, f.err()
}

// isSecretName: a dash counts as an underscore.
func isSecretName(s string) bool { return isName(strings.ReplaceAll(s, "-", "_")) }

func (f findings) err() error {
	if len(f) == 0 {
		return nil
	}
	n := min(len(f), 20)
	text := strings.Join(f[:n], "; ")
	if n < len(f) {
		text += fmt.Sprintf("; and %d more", len(f)-n)
	}
	return sdk.Errorf(sdk.Invalid, "the plugin's description is wrong: %s", text)
}

func checkTriggers(f *findings, in []sdk.Trigger) {
	seen := map[string]bool{}
	for i := range in {
		t, at := &in[i], fmt.Sprintf("triggers[%d]", i)
		checkName(f, at, t.Name, seen)
		switch t.Kind {
		case sdk.KindPoll, sdk.KindWebhook, sdk.KindStream, sdk.KindManual:
		default:
			f.add(at+".kind", "%.40q is not poll, webhook, stream or manual", t.Kind)
		}
		if t.Every < 0 {
			f.add(at+".every", "must not be negative")
		}
		checkObject(f, at+".config", t.Config)
		contract.Check(at+".event", t.Event, f.add)
	}
}

func checkActions(f *findings, in []sdk.Action) {
	seen := map[string]bool{}
	for i := range in {
		a, at := &in[i], fmt.Sprintf("actions[%d]", i)
		checkName(f, at, a.Name, seen)
		checkObject(f, at+".input", a.Input)
		contract.Check(at+".output", a.Output, f.add)
	}
}

func checkChoices(f *findings, c *sdk.Connector) {
	if c.Check != nil {
		checkObject(f, "check.config", c.Check.Config)
	}
	if len(c.Options) > maxMembers {
		f.add("options", "%d options, %d are allowed", len(c.Options), maxMembers)
		return
	}
	seen := map[string]bool{}
	for i := range c.Options {
		at := fmt.Sprintf("options[%d]", i)
		checkName(f, at, c.Options[i].Name, seen)
		checkObject(f, at+".config", c.Options[i].Config)
	}
}

func checkName(f *findings, at, name string, seen map[string]bool) {
	switch {
	case !isName(name):
		f.add(at+".name", "%.80q is not a name: a-z first, then a-z, 0-9 and _, at most %d", name, maxName)
	case seen[name]:
		f.add(at+".name", "%q is there twice", name)
	}
	seen[name] = true
}

func isName(s string) bool {
	if s == "" || len(s) > maxName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func isHostPattern(s string) bool {
	if s == "*" {
		return true
	}
	if name, ok := strings.CutPrefix(s, "{"); ok {
		name, ok = strings.CutSuffix(name, "}")
		return ok && name != "" && !strings.ContainsAny(name, "{}")
	}
	s = strings.TrimPrefix(s, "*.")
	return s != "" && len(s) <= 253 && !strings.ContainsAny(s, "*{}/:@?# \t\r\n") || strings.Count(s, ":") > 1 && !strings.ContainsAny(s, "/@")
}

// checkObject checks the schema of a config or an input: an object's. None at
// all takes any object.
func checkObject(f *findings, at string, raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	var s struct {
		Type any `json:"type"`
	}
	if json.Unmarshal(raw, &s) != nil || s.Type != "object" {
		f.add(at, `must be the JSON Schema of an object, with "type": "object"`)
		return
	}
	contract.Check(at, raw, f.add)
}
