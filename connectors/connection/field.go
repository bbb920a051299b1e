package connection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Kind is a way to prove who asks, as data: the one source of the form, the
// schema, the checks and the page of documentation.
type Kind struct {
	// Name is a word that is stored.
	Name        string
	Title       string
	Description string
	Fields      []Field
	// Config is the JSON Schema of the config, made of Fields.
	Config json.RawMessage
	// NeedsHosts: at least one host has to be named.
	NeedsHosts bool
	// open checks a config as a whole and makes what sends its credentials.
	open func(*opening) auth
}

// A Field is one entry of a kind's config.
type Field struct {
	Name, Title, Description string
	// Type is "string" (also if it is empty), "boolean", or "object": texts by
	// names.
	Type string
	// Format is that of JSON Schema: uri for an absolute URL, pem, expression.
	Format string
	// Secret: it is sealed, written and never read.
	Secret bool
	// ReadOnly: it is shown, and writing it is a problem.
	ReadOnly bool
	Required bool
	Enum     []string
	// Default is what an absent text means.
	Default string
}

// schema makes the JSON Schema of fields, in their order.
func schema(fields []Field) json.RawMessage {
	var b bytes.Buffer
	b.WriteString(`{"type":"object","additionalProperties":false,"properties":{`)
	var required []string
	for i := range fields {
		f := &fields[i]
		if i > 0 {
			b.WriteByte(',')
		}
		write(&b, f.Name)
		b.WriteByte(':')
		write(&b, struct {
			Type        string            `json:"type"`
			Title       string            `json:"title"`
			Description string            `json:"description"`
			Format      string            `json:"format,omitempty"`
			Enum        []string          `json:"enum,omitempty"`
			Default     string            `json:"default,omitempty"`
			WriteOnly   bool              `json:"writeOnly,omitempty"`
			ReadOnly    bool              `json:"readOnly,omitempty"`
			Values      map[string]string `json:"additionalProperties,omitempty"`
		}{f.kind(), f.Title, f.Description, f.Format, f.Enum, f.Default, f.Secret, f.ReadOnly, f.values()})
		if f.Required {
			required = append(required, f.Name)
		}
	}
	b.WriteByte('}')
	if required != nil {
		b.WriteString(`,"required":`)
		write(&b, required)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// write appends v as JSON; v is of this package and always can be.
func write(b *bytes.Buffer, v any) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	b.Truncate(b.Len() - 1)
}

func (f *Field) kind() string {
	if f.Type == "" {
		return "string"
	}
	return f.Type
}

func (f *Field) values() map[string]string {
	if f.Type == "object" {
		return map[string]string{"type": "string"}
	}
	return nil
}

// A Problem is something wrong with what a user wrote.
type Problem struct {
	// Path leads to it: "name", "hosts[1]", "config.token_url".
	Path    string
	Message string
}

// Problems are all that is wrong, at once.
type Problems []Problem

// Error lists them.
func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, q := range p {
		texts[i] = q.Path + ": " + q.Message
	}
	return strings.Join(texts, "; ")
}

func (p *Problems) add(path, format string, args ...any) {
	*p = append(*p, Problem{path, fmt.Sprintf(format, args...)})
}

// err is p, or nil where nothing is wrong.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// A config is what a user gave: texts and booleans ("true") by field, and the
// pairs of objects.
type config struct {
	text  map[string]string
	pairs map[string]map[string]string
}

// read takes a JSON object apart. Secrets that it leaves out are those of kept;
// null or an empty text takes one away.
func (k *Kind) read(doc json.RawMessage, kept map[string]string, limit int, p *Problems) config {
	c := config{text: map[string]string{}, pairs: map[string]map[string]string{}}
	for i := range k.Fields {
		if f := &k.Fields[i]; f.Default != "" {
			c.text[f.Name] = f.Default
		}
		if f := &k.Fields[i]; f.Secret && kept[f.Name] != "" {
			c.text[f.Name] = kept[f.Name]
		}
	}
	if len(doc) > limit {
		p.add("config", "has %d bytes; at most %d are taken", len(doc), limit)
		return c
	}
	var given map[string]json.RawMessage
	if len(bytes.TrimSpace(doc)) > 0 {
		if err := json.Unmarshal(doc, &given); err != nil {
			p.add("config", "isn't a JSON object") // the error might quote a secret
			return c
		}
	}
	for _, name := range sorted(given) {
		i := slices.IndexFunc(k.Fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			p.add("config."+name, "the kind %s has no such field", k.Name)
			continue
		}
		k.Fields[i].read(given[name], &c, p)
	}
	for i := range k.Fields {
		if f := &k.Fields[i]; f.Required && c.text[f.Name] == "" && !slices.ContainsFunc(*p, func(q Problem) bool { return q.Path == "config."+f.Name }) {
			p.add("config."+f.Name, "is missing")
		}
	}
	return c
}

func (f *Field) read(doc json.RawMessage, c *config, p *Problems) {
	path := "config." + f.Name
	if f.ReadOnly {
		p.add(path, "is computed by the server and can't be written")
		return
	}
	if string(doc) == "null" {
		delete(c.text, f.Name)
		if f.Default != "" {
			c.text[f.Name] = f.Default
		}
		return
	}
	switch f.kind() {
	case "boolean":
		var v bool
		if json.Unmarshal(doc, &v) != nil {
			p.add(path, "is neither true nor false")
			return
		}
		delete(c.text, f.Name)
		if v {
			c.text[f.Name] = "true"
		}
	case "object":
		var v map[string]string
		if json.Unmarshal(doc, &v) != nil {
			p.add(path, "isn't an object of texts")
			return
		}
		c.pairs[f.Name] = v
	default:
		var v string
		switch {
		case json.Unmarshal(doc, &v) != nil:
			p.add(path, "isn't a text")
		case !utf8.ValidString(v) || strings.ContainsRune(v, 0):
			p.add(path, "isn't a text in UTF-8 without NUL")
		case f.Enum != nil && !slices.Contains(f.Enum, v):
			p.add(path, "is none of %s", strings.Join(f.Enum, ", "))
		default:
			c.text[f.Name] = v
		}
	}
}

// split parts a config into what may be shown and what is sealed.
func (k *Kind) split(c config) (public json.RawMessage, secrets map[string]string) {
	secrets = map[string]string{}
	shown := map[string]any{}
	for i := range k.Fields {
		f := &k.Fields[i]
		text, pairs := c.text[f.Name], c.pairs[f.Name]
		switch {
		case f.ReadOnly:
		case f.Secret && text != "":
			secrets[f.Name] = text
		case f.kind() == "boolean" && text != "":
			shown[f.Name] = true
		case pairs != nil:
			shown[f.Name] = pairs
		case text != "" && !f.Secret:
			shown[f.Name] = text
		}
	}
	var b bytes.Buffer
	write(&b, shown)
	return b.Bytes(), secrets
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
