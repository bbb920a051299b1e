package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// A Secret refers to a secret by name. It goes through an expression whole;
// whatever would make text of it fails. As JSON it is a reference, and only in
// the place of a field that takes one; see [Template.For].
type Secret struct{ Name string }

// referenceKey is the one member of a reference to a secret: {"$secret":"name"}.
const referenceKey = "$secret"

// For gives the same template, to be written into an input of type to: in the
// places of its fields that take a secret (writeOnly in a schema), and in no
// others, a secret becomes a reference, {"$secret":"name"}. Such a field takes a
// secret, or what else its schema allows, but never an object, so that no data
// can forge a reference: what looks like one there fails, and what looks like
// one elsewhere is data, which [References] doesn't find.
func (t *Template) For(to *Type) *Template {
	if to == nil || !to.secret {
		return t
	}
	c := *t
	switch t.kind {
	case listNode:
		c.items = make([]*Template, len(t.items))
		for i, x := range t.items {
			c.items[i] = x.For(to.item())
		}
	case objectNode:
		c.members = make([]Member, len(t.members))
		for i, m := range t.members {
			c.members[i] = Member{Name: m.Name, Value: m.Value.For(to.field(m.Name))}
		}
	case constantNode:
		// It was written by the graph's author, but is held to the same rule.
		if found, err := References(t.json, to); err != nil || len(found) > 0 {
			return &Template{kind: brokenNode, typ: t.typ, src: "a field that takes a secret takes secret(\"name\") or a text"}
		}
		return t
	case expressionNode, textNode, brokenNode:
	}
	if t.kind != listNode && t.kind != objectNode || to.k&kSecret != 0 {
		c.to = to
	}
	return &c
}

// field is the type of a member as a field, nil when none is known.
func (t *Type) field(name string) *Type {
	if t.dyn {
		return nil
	}
	if p := t.prop(name); p != nil {
		return p.typ
	}
	return t.extra
}

// appendFor writes a value into a field of type to.
func (f *frame) appendFor(b []byte, v any, to *Type, depth int) []byte {
	if to == nil || !to.secret {
		return f.appendJSON(b, v, depth)
	}
	f.step(1)
	if depth > maxValueDepth {
		f.exceeded("the value is nested too deeply to be written out")
	}
	if x, ok := v.(*Raw); ok {
		// Data holds no secret, so whatever looks like one is forged.
		r := references{}
		if err := r.find(x.b, 0, to, depth); err != nil {
			f.fail("%s", err)
		}
		if len(r.found) > 0 {
			f.fail("%s", refused("object"))
		}
		f.step(len(x.b) / 16)
		return f.appendJSON(b, x, depth)
	}
	if to.k&kSecret != 0 {
		if x, ok := v.(Secret); ok {
			return f.appendReference(b, x)
		}
		if !to.takes(v) {
			f.fail("%s", refused(kindName(v)))
		}
	}
	switch x := v.(type) {
	case []any:
		b = append(b, '[')
		for i, e := range x {
			f.alloc(2)
			b = f.appendFor(comma(b, i), e, to.item(), depth+1)
		}
		return append(b, ']')
	case map[string]any, Members:
		m := f.object(x)
		b = append(b, '{')
		for i, k := range f.sortedKeys(m) {
			b = append(f.appendString(comma(b, i), k), ':')
			b = f.appendFor(b, m[k], to.field(k), depth+1)
		}
		return append(b, '}')
	default:
		return f.appendJSON(b, x, depth)
	}
}

func (f *frame) appendReference(b []byte, s Secret) []byte {
	b = append(b, `{"`+referenceKey+`":`...)
	return append(f.appendString(b, s.Name), '}')
}

// refused says that a value can't be given to a field that takes a secret.
func refused(kind string) error {
	return fmt.Errorf(`a field that takes a secret takes secret("name") or a text, got %s`, kind)
}

// takes says whether a field that takes a secret may have this value instead.
func (t *Type) takes(v any) bool {
	switch v.(type) {
	case string, time.Time, time.Duration:
		return true // a secret is given in the place of a text
	case nil:
		return t.nullable()
	case bool:
		return t.k&kBool != 0
	case int, float64, json.Number, *apd.Decimal:
		return t.k&kNumber != 0
	case []any:
		return t.k&kList != 0
	}
	return false
}

// A Reference is the place of a secret in a document.
type Reference struct {
	// From and To enclose the reference in the document, in bytes.
	From, To int
	// Name is the secret's.
	Name string
}

// References finds the references to secrets in a document that a template
// wrote [Template.For] an input of type to, in their order. It looks only into
// fields that take a secret; one that holds an object that is no reference, or
// what its schema doesn't allow, is an error. The document must have passed
// [CheckJSON].
func References(doc []byte, to *Type) ([]Reference, error) {
	var r references
	from := skipSpace(doc, 0)
	if from == len(doc) {
		return nil, nil
	}
	if err := r.find(doc, from, to, 0); err != nil {
		return nil, fmt.Errorf("find the secrets: %w", err)
	}
	return r.found, nil
}

type references struct{ found []Reference }

// find looks at the value that begins at b[i].
func (r *references) find(b []byte, i int, to *Type, depth int) error {
	switch {
	case to == nil || !to.secret:
		return nil
	case depth > maxValueDepth:
		return errors.New("the document is nested too deeply")
	case to.k&kSecret != 0 && b[i] == '{':
		return r.reference(b, i)
	case to.k&kSecret != 0 && !to.takesJSON(b[i]):
		return refused(jsonKind(b[i]))
	}
	closing := byte(']')
	switch b[i] {
	case '{':
		closing = '}'
	case '[':
	default:
		return nil
	}
	for i = skipSpace(b, i+1); b[i] != closing; {
		field := to.item()
		if closing == '}' {
			end := skipString(b, i)
			field = to.field(unescape(b[i+1 : end-1]))
			i = skipSpace(b, skipSpace(b, end)+1)
		}
		if err := r.find(b, i, field, depth+1); err != nil {
			return err
		}
		if i = skipSpace(b, skipValue(b, i)); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return nil
}

// takesJSON is takes for the first byte of a JSON value that is no object.
func (t *Type) takesJSON(first byte) bool {
	switch first {
	case '"', 'n':
		return true
	case 't', 'f':
		return t.k&kBool != 0
	case '[':
		return t.k&kList != 0
	}
	return t.k&kNumber != 0
}

// jsonKind names the kind of a JSON value by its first byte.
func jsonKind(first byte) string {
	switch first {
	case '"':
		return "string"
	case 'n':
		return "null"
	case 't', 'f':
		return "boolean"
	case '[':
		return "list"
	case '{':
		return "object"
	}
	return "number"
}

// reference reads an object in a field that takes a secret.
func (r *references) reference(b []byte, i int) error {
	end := skipValue(b, i)
	name, ok := strings.CutPrefix(string(b[i:end]), `{"`+referenceKey+`":"`)
	if !ok || !strings.HasSuffix(name, `"}`) || skipString(b, i+len(`{"":`)+len(referenceKey)) != end-1 {
		return refused("object")
	}
	r.found = append(r.found, Reference{From: i, To: end, Name: unescape([]byte(strings.TrimSuffix(name, `"}`)))})
	return nil
}

// maxSecretName is how long a secret's name may be, in bytes.
const maxSecretName = 64

// secretName tells what is wrong with the name of a secret, and what would be
// right. The name of an environment variable must say which secret it is, so
// that no two names may differ in their case or in a dash alone.
func secretName(name string) (wrong, hint string) {
	var b strings.Builder
	for i, r := range strings.ToLower(name) {
		switch {
		case 'a' <= r && r <= 'z', i > 0 && ('0' <= r && r <= '9' || r == '_'):
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('_')
		}
	}
	right := strings.TrimRight(b.String(), "_")
	if strings.HasSuffix(name, "_") {
		right = b.String()
	}
	switch {
	case len(name) > maxSecretName:
		return fmt.Sprintf("the name of a secret has %d bytes; at most %d are allowed", len(name), maxSecretName), ""
	case right == name && name != "":
		return "", ""
	case right != "":
		hint = "call it " + quoted(right)
	}
	return "the name of a secret is of a-z, 0-9 and _, beginning with a letter, not " + clip(name), hint
}
