package expr

import (
	"errors"
	"fmt"
	"strings"
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
// secret or a text and refuses all else, so that no data can forge a reference:
// what looks like one there fails, and what looks like one elsewhere is data,
// which [References] doesn't find.
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
	if to.k&kSecret != 0 {
		switch x := v.(type) {
		case Secret:
			b = append(b, `{"`+referenceKey+`":`...)
			return append(f.appendString(b, x.Name), '}')
		case string:
			return f.appendString(b, x)
		case nil:
			if to.nullable() {
				return f.appendJSON(b, v, depth)
			}
		}
		f.fail("a field that takes a secret takes secret(\"name\") or a text, got %s", kindName(v))
	}
	switch x := f.force(v).(type) {
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

// A Reference is the place of a secret in a document.
type Reference struct {
	// From and To enclose the reference in the document, in bytes.
	From, To int
	// Name is the secret's.
	Name string
}

// References finds the references to secrets in a document that a template
// wrote [Template.For] an input of type to, in their order. It looks only into
// fields that take a secret; one that holds neither a text, nor null, nor a
// reference is an error. The document must have passed [CheckJSON].
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
	case to.k&kSecret != 0:
		return r.secret(b, i)
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

// secret reads the value of a field that takes a secret.
func (r *references) secret(b []byte, i int) error {
	end := skipValue(b, i)
	if b[i] == '"' || b[i] == 'n' {
		return nil
	}
	name, ok := strings.CutPrefix(string(b[i:end]), `{"`+referenceKey+`":"`)
	if !ok || !strings.HasSuffix(name, `"}`) || skipString(b, i+len(`{"":`)+len(referenceKey)) != end-1 {
		return fmt.Errorf("a field that takes a secret holds neither a text nor a reference, at offset %d", i)
	}
	r.found = append(r.found, Reference{From: i, To: end, Name: unescape([]byte(strings.TrimSuffix(name, `"}`)))})
	return nil
}
