package plugins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

const (
	maxName    = 64
	maxMembers = 256
	maxDepth   = 64
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
		checkSchema(f, at+".event", t.Event)
	}
}

func checkActions(f *findings, in []sdk.Action) {
	seen := map[string]bool{}
	for i := range in {
		a, at := &in[i], fmt.Sprintf("actions[%d]", i)
		checkName(f, at, a.Name, seen)
		checkObject(f, at+".input", a.Input)
		checkSchema(f, at+".output", a.Output)
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
	checkSchema(f, at, raw)
}

// checkSchema checks the form of a JSON Schema in those words that the engine
// reads; others are left alone.
func checkSchema(f *findings, at string, raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	s := schemaCheck{findings: f}
	_ = json.Unmarshal(raw, &s.root) // it is part of a document that was read
	s.schema(at, raw, 0)
}

// A schemaCheck checks one schema.
type schemaCheck struct {
	*findings
	root any // the whole, in which its references lead
}

func (s *schemaCheck) schema(at string, raw json.RawMessage, depth int) {
	raw = bytes.TrimSpace(raw)
	if string(raw) == "true" || string(raw) == "false" {
		return
	}
	if depth > maxDepth {
		s.add(at, "nested more than %d deep", maxDepth)
		return
	}
	var words map[string]json.RawMessage
	if err := json.Unmarshal(raw, &words); err != nil || words == nil {
		s.add(at, "not a JSON Schema: an object, true or false is wanted")
		return
	}
	for _, word := range slices.Sorted(maps.Keys(words)) {
		s.word(at+"."+word, word, words[word], depth)
	}
}

func (s *schemaCheck) word(at, word string, v json.RawMessage, depth int) {
	switch word {
	case "type":
		s.types(at, v)
	case "properties", "$defs", "definitions", "patternProperties":
		var m map[string]json.RawMessage
		if json.Unmarshal(v, &m) != nil || m == nil {
			s.add(at, "must be an object of schemas")
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if word == "patternProperties" {
				s.pattern(at, name)
			}
			s.schema(at+"."+name, m[name], depth+1)
		}
	case "items", "additionalProperties", "not", "contains", "propertyNames":
		s.schema(at, v, depth+1)
	case "anyOf", "oneOf", "allOf", "prefixItems":
		var list []json.RawMessage
		if json.Unmarshal(v, &list) != nil || len(list) == 0 {
			s.add(at, "must be a list of schemas")
		}
		for i, e := range list {
			s.schema(fmt.Sprintf("%s[%d]", at, i), e, depth+1)
		}
	case "required":
		var names []string
		if json.Unmarshal(v, &names) != nil {
			s.add(at, "must be a list of names")
		}
	case "enum":
		var values []json.RawMessage
		if json.Unmarshal(v, &values) != nil || len(values) == 0 {
			s.add(at, "must be a list of values")
		}
	case "uniqueItems":
		var b bool
		if json.Unmarshal(v, &b) != nil {
			s.add(at, "must be true or false")
		}
	case "title", "description", "format", "pattern", "$ref":
		var text string
		if json.Unmarshal(v, &text) != nil {
			s.add(at, "must be a text")
			return
		}
		if _, ok := resolve(s.root, text); word == "$ref" && !ok {
			s.add(at, "%.80q leads to no schema in this one; references are # and a JSON pointer behind it, such as #/$defs/name", text)
		}
		if word == "pattern" {
			s.pattern(at, text)
		}
	default:
		s.number(at, word, v)
	}
}

func (s *schemaCheck) types(at string, v json.RawMessage) {
	var one string
	var many []string
	if json.Unmarshal(v, &one) == nil {
		many = []string{one}
	} else if json.Unmarshal(v, &many) != nil || len(many) == 0 {
		s.add(at, "must be a type or a list of types")
	}
	for _, t := range many {
		if !slices.Contains([]string{"string", "number", "integer", "boolean", "object", "array", "null"}, t) {
			s.add(at, "%.40q is not a type of JSON", t)
		}
	}
}

func (s *schemaCheck) pattern(at, text string) {
	if _, err := compilePattern(text); err != nil {
		s.add(at, "%.80q is no regular expression of RE2's syntax that can be used: %.200v", text, err)
	}
}

// number checks the words whose values are numbers, if word is one.
func (s *schemaCheck) number(at, word string, v json.RawMessage) {
	switch word {
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		var n json.Number
		if json.Unmarshal(v, &n) != nil || n == "" || v[0] == '"' || word == "multipleOf" && compare(n, "0") <= 0 {
			if word == "multipleOf" {
				s.add(at, "must be a number above 0")
			} else {
				s.add(at, "must be a number")
			}
		}
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
		var n uint32
		if json.Unmarshal(v, &n) != nil || v[0] == 'n' {
			s.add(at, "must be a whole number from 0 on")
		}
	}
}
