package graph

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// A Checker is a compiled JSON Schema. It may be shared.
type Checker struct {
	schema   *jsonschema.Schema
	messages map[string]map[string]string
}

const schemaURL = "schema:"

// NewChecker compiles a JSON Schema (draft 2020-12 unless it names another).
// It reads no other schema: a reference leads inside or is an error. Formats
// that it knows, such as uri, email and date-time, are checked, and
// header-fields, of an object whose members are sent as a header; others say
// nothing. An empty schema takes everything.
//
// errorMessage in a schema is what a violation is told as: an object of texts by
// the keywords that are violated there, or one text for all of them and for what
// lies below.
func NewChecker(schema []byte) (*Checker, error) { return newChecker(schema, headerFields) }

// NewInputChecker is NewChecker for what a document gives to an action: a file
// that is written there, instead of mapped, is a violation, since a file's id is
// known to one run alone.
func NewInputChecker(schema []byte) (*Checker, error) {
	return newChecker(schema, headerFields, mappedFile)
}

func newChecker(schema []byte, formats ...*jsonschema.Format) (*Checker, error) {
	if len(bytes.TrimSpace(schema)) == 0 {
		schema = []byte("true")
	}
	p := &problems{max: 1}
	tree := read(schema, JSON, Limits{}.orDefaults(), p)
	if tree == nil || len(p.list) > 0 {
		return nil, fmt.Errorf("read schema: %w", p.list[0])
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	for _, f := range formats {
		c.RegisterFormat(f)
	}
	if err := c.AddResource(schemaURL, tree.native()); err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	compiled, err := c.Compile(schemaURL)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	checker := &Checker{schema: compiled, messages: map[string]map[string]string{}}
	checker.collect(tree, "")
	return checker, nil
}

// collect finds the messages of a schema by the places that they hold for.
func (c *Checker) collect(v *Value, at string) {
	for _, m := range v.Members {
		if m.Name == "errorMessage" {
			by := map[string]string{}
			if m.Value.Kind == String {
				by[""] = m.Value.Text
			}
			for _, x := range m.Value.Members {
				if x.Value.Kind == String {
					by[x.Name] = x.Value.Text
				}
			}
			c.messages[at] = by
		}
		c.collect(m.Value, Pointer(at, m.Name))
	}
	for i, x := range v.Items {
		c.collect(x, Pointer(at, strconv.Itoa(i)))
	}
}

// message is what a schema says of a violation, "" for nothing; whole says that
// this very schema says it of all.
func (c *Checker) message(e *jsonschema.ValidationError) (text string, whole bool) {
	_, place, _ := strings.Cut(e.SchemaURL, "#")
	place, err := url.PathUnescape(place)
	if err != nil {
		return "", false
	}
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		text = c.messages[place][path[0]]
	}
	for own := true; text == ""; own = false {
		if text = c.messages[place][""]; text != "" {
			return text, own
		}
		i := strings.LastIndexByte(place, '/')
		if i < 0 {
			break
		}
		place = place[:i]
	}
	return text, false
}

// headerFields refuses two spellings of a field that a request has once.
var headerFields = &jsonschema.Format{Name: "header-fields", Validate: func(v any) error {
	fields, _ := v.(map[string]any)
	seen := map[string]int{}
	for name := range fields {
		seen[strings.ToLower(name)]++
	}
	for _, name := range []string{"Content-Type", "Host", "User-Agent"} {
		if seen[strings.ToLower(name)] > 1 {
			return fmt.Errorf("has %s more than once, in several spellings; give it one time", name)
		}
	}
	return nil
}}

// mappedFile refuses a file whose id isn't an expression.
var mappedFile = &jsonschema.Format{Name: "file", Validate: func(v any) error {
	file, _ := v.(map[string]any)
	if id, ok := file["file"].(string); ok && !strings.Contains(id, "${{") {
		return errors.New("looks like a file, but a file's id is known to its run alone; map one whole, such as ${{ trigger.files[0] }}")
	}
	return nil
}}

// noLoader refuses every schema from elsewhere.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a schema can't refer to another, %q", url)
}

// maxViolations is how many violations of one value are told.
const maxViolations = 100

// CheckSchema tells every violation of a JSON Schema by v, a value at the
// pointer, up to 100. An invalid schema is one problem, of code "schema".
func CheckSchema(schema []byte, v *Value, pointer string) []Problem {
	c, err := NewChecker(schema)
	if err != nil {
		return []Problem{{Pointer: pointer, Line: v.Line, Column: v.Column, Code: "schema", Message: err.Error()}}
	}
	return c.Check(v, pointer, nil)
}

// Check tells every violation by v, a value at the pointer, up to 100. Where open says
// that a value is only known later, nothing is said that depends on it.
func (c *Checker) Check(v *Value, pointer string, open func(*Value) bool) []Problem {
	err := c.schema.Validate(v.native())
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	k := &check{checker: c, root: v, pointer: pointer, open: open}
	k.walk(invalid, c.schema)
	return sortProblems(k.list)
}

type check struct {
	checker *Checker
	said    string // what the schema says of the violation at hand
	root    *Value
	pointer string
	open    func(*Value) bool
	list    []Problem
}

// find gives the value at a place below the root.
func (k *check) find(tokens []string) (v *Value, isOpen bool) {
	v = k.root
	for _, t := range tokens {
		if k.open != nil && k.open(v) {
			return v, true
		}
		next := v.Get(t)
		if v.Kind == List {
			var i int
			if _, err := fmt.Sscanf(t, "%d", &i); err == nil && i < len(v.Items) {
				next = v.Items[i]
			}
		}
		if next == nil {
			return v, false
		}
		v = next
	}
	return v, k.open != nil && k.open(v)
}

// holds says whether anything in v is only known later.
func (k *check) holds(v *Value) bool {
	if k.open == nil {
		return false
	}
	if k.open(v) {
		return true
	}
	return slices.ContainsFunc(v.Items, k.holds) ||
		slices.ContainsFunc(v.Members, func(m Member) bool { return k.holds(m.Value) })
}

func (k *check) add(v *Value, at []string, code, message, suggestion string) {
	if len(k.list) >= maxViolations {
		return
	}
	if k.said != "" {
		message, suggestion = k.said, ""
	}
	p := Problem{
		Pointer: Pointer(k.pointer, at...), Line: v.Line, Column: v.Column,
		Code: code, Message: message, Suggestion: suggestion,
	}
	if !slices.Contains(k.list, p) {
		k.list = append(k.list, p)
	}
}

// walk tells of the leaves of a violation; alternatives are told as one, unless
// one of them alone has the value's kind.
func (k *check) walk(e *jsonschema.ValidationError, s *jsonschema.Schema) {
	if len(k.list) >= maxViolations {
		return
	}
	v, isOpen := k.find(e.InstanceLocation)
	if isOpen {
		return
	}
	at := e.InstanceLocation
	said, whole := k.checker.message(e)
	k.said = said
	switch is := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range e.Causes {
			k.walk(cause, s)
		}
	case *kind.AnyOf, *kind.OneOf:
		if k.holds(v) {
			return
		}
		if best := k.closest(e); best != nil && (!whole || below(best, len(at))) {
			k.walk(best, s)
			return
		}
		k.add(v, at, "value", "fits none of the forms that are allowed here", "")
	case *kind.Required:
		for _, name := range is.Missing {
			k.add(v, at, "required", fmt.Sprintf("the field %q is missing", name), "")
		}
	case *kind.AdditionalProperties:
		known := properties(s, at)
		for _, name := range is.Properties[:min(len(is.Properties), maxViolations)] {
			k.unknown(v, at, name, known)
		}
	case *kind.Type:
		got := v.Kind.String()
		if v.Kind == Number && slices.Contains(is.Want, "integer") {
			got = clip(string(v.JSON()))
		}
		k.add(v, at, "type", "must be "+kinds(is.Want)+", not "+got, "")
	case *kind.Enum:
		if k.holds(v) {
			return
		}
		words := texts(is.Want)
		k.add(v, at, "enum", "must be one of "+list(is.Want), didYouMean(v.Text, words))
	case *kind.Const:
		if !k.holds(v) {
			k.add(v, at, "enum", "must be "+list([]any{is.Want}), "")
		}
	case *kind.Pattern:
		k.add(v, at, "pattern", "must match the pattern "+is.Want, "")
	case *kind.Format:
		message := "must be " + format(is.Want)
		if is.Want == headerFields.Name || is.Want == mappedFile.Name {
			message = is.Err.Error()
		}
		k.add(v, at, "format", message, "")
	case *kind.MinLength:
		k.add(v, at, "length", fmt.Sprintf("must have at least %d characters", is.Want), "")
	case *kind.MaxLength:
		k.add(v, at, "length", fmt.Sprintf("may have at most %d characters", is.Want), "")
	case *kind.MinItems:
		k.add(v, at, "length", fmt.Sprintf("must have at least %d items", is.Want), "")
	case *kind.MaxItems:
		k.add(v, at, "length", fmt.Sprintf("may have at most %d items", is.Want), "")
	case *kind.MinProperties:
		k.add(v, at, "length", fmt.Sprintf("must have at least %d members", is.Want), "")
	case *kind.MaxProperties:
		k.add(v, at, "length", fmt.Sprintf("may have at most %d members", is.Want), "")
	case *kind.Minimum:
		k.add(v, at, "range", "must be at least "+is.Want.RatString(), "")
	case *kind.Maximum:
		k.add(v, at, "range", "must be at most "+is.Want.RatString(), "")
	case *kind.ExclusiveMinimum:
		k.add(v, at, "range", "must be more than "+is.Want.RatString(), "")
	case *kind.ExclusiveMaximum:
		k.add(v, at, "range", "must be less than "+is.Want.RatString(), "")
	default:
		if !k.holds(v) {
			k.add(v, at, "value", "is not what is allowed here: "+text(e), "")
		}
	}
}

// closest is the one alternative that fails by something else than the kind of
// the whole value, nil if there are none or several.
func (k *check) closest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	var best *jsonschema.ValidationError
	for _, cause := range e.Causes {
		leaf := cause
		for {
			_, isRef := leaf.ErrorKind.(*kind.Reference)
			_, isGroup := leaf.ErrorKind.(*kind.Group)
			if (isRef || isGroup) && len(leaf.Causes) == 1 {
				leaf = leaf.Causes[0]
				continue
			}
			break
		}
		switch leaf.ErrorKind.(type) {
		case *kind.Type, *kind.Const:
			if len(leaf.InstanceLocation) == len(e.InstanceLocation) {
				continue
			}
		}
		if best != nil {
			return nil
		}
		best = cause
	}
	return best
}

// below says whether all that violates lies deeper than n steps down.
func below(e *jsonschema.ValidationError, n int) bool {
	if len(e.InstanceLocation) > n {
		return true
	}
	for _, cause := range e.Causes {
		if !below(cause, n) {
			return false
		}
	}
	return len(e.Causes) > 0
}

// unknown tells of a member that an object doesn't have.
func (k *check) unknown(v *Value, at []string, name string, known []string) {
	place := v
	for i := range v.Members {
		if v.Members[i].Name == name {
			place = &Value{Line: v.Members[i].Line, Column: v.Members[i].Column}
		}
	}
	k.add(place, append(slices.Clone(at), name), "unknown_field", fmt.Sprintf("unknown field %q", clip(name)), didYouMean(name, known))
}

// properties are the names that a schema gives to the object at a place, as
// far as they lie on the straight way.
func properties(s *jsonschema.Schema, at []string) []string {
	for _, t := range at {
		s = deref(s)
		if s == nil {
			return nil
		}
		next := s.Properties[t]
		if next == nil {
			next, _ = s.AdditionalProperties.(*jsonschema.Schema)
		}
		if next == nil {
			next = s.Items2020
		}
		s = next
	}
	if s = deref(s); s == nil {
		return nil
	}
	known := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		known = append(known, name)
	}
	slices.Sort(known)
	return known
}

// deref follows references, as many as a sane schema has in a row.
func deref(s *jsonschema.Schema) *jsonschema.Schema {
	for range 16 {
		if s == nil || s.Ref == nil {
			return s
		}
		s = s.Ref
	}
	return s
}

// kinds names JSON Schema's types as messages do.
func kinds(want []string) string {
	names := make([]string, len(want))
	for i, w := range want {
		switch w {
		case "string":
			names[i] = String.String()
		case "array":
			names[i] = List.String()
		case "object":
			names[i] = Object.String()
		case "integer":
			names[i] = "a whole number"
		case "number":
			names[i] = Number.String()
		case "boolean":
			names[i] = Bool.String()
		default:
			names[i] = w
		}
	}
	return strings.Join(names, " or ")
}

// format says what a value of a format is, with an example where that helps.
func format(name string) string {
	switch name {
	case "uri":
		return "an absolute URI, such as https://example.com/entries"
	case "email":
		return "an e-mail address, such as ada@example.com"
	case "date-time":
		return "a time of RFC 3339, such as 2026-11-24T09:30:00Z"
	case "date":
		return "a date, such as 2026-11-24"
	}
	return "of the format " + name
}

// list writes the values of an enum.
func list(want []any) string {
	parts := make([]string, 0, len(want))
	for _, w := range want {
		if s, ok := w.(string); ok {
			parts = append(parts, quoteAll([]string{s}))
			continue
		}
		parts = append(parts, fmt.Sprint(w))
	}
	return clip(strings.Join(parts, ", "))
}

func texts(want []any) []string {
	var words []string
	for _, w := range want {
		if s, ok := w.(string); ok {
			words = append(words, s)
		}
	}
	return words
}

// text is what the validator says of a violation, on one line and without the
// place.
func text(e *jsonschema.ValidationError) string {
	leaf := *e
	leaf.Causes = nil
	s := leaf.Error()
	if _, rest, ok := strings.Cut(s, "': "); ok {
		s = rest
	}
	return clip(strings.ReplaceAll(s, "\n", " "))
}
