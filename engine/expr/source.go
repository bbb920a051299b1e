package expr

import (
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// A Source is a place of a template that is computed, and what it is computed
// from.
type Source struct {
	// Pointer is the place in the value tree, a JSON pointer (RFC 6901).
	Pointer string
	// Expression is the place's source, as it is written.
	Expression string
	// Reads are the paths of the values that it may read, sorted: such as
	// trigger.body.task.title, steps.entry.body.id, step("entry").status and
	// secret("forms").
	// A path ends where the data decides how it goes on: what is taken of a
	// list's items or by a computed name counts as the list or the object.
	Reads []string
}

// Sources lists the places of the template that are computed, in the order of
// the tree. They are known since it was compiled; nothing is evaluated.
func (t *Template) Sources() []Source {
	var out []Source
	t.sources("", &out)
	return out
}

func (t *Template) sources(pointer string, out *[]Source) {
	switch t.kind {
	case expressionNode, textNode:
		*out = append(*out, Source{Pointer: pointer, Expression: t.src, Reads: slices.Clone(t.reads)})
	case listNode:
		for i, x := range t.items {
			x.sources(pointer+"/"+strconv.Itoa(i), out)
		}
	case objectNode:
		for _, m := range t.members {
			m.Value.sources(pointer+"/"+pointerName(m.Name), out)
		}
	case constantNode, brokenNode:
	}
}

// secretRead begins what stands among the reads for secret("name").
const secretRead = `secret("`

// Secrets gives the names of the secrets that the value may refer to, sorted.
func (t *Template) Secrets() []string {
	var names []string
	for _, s := range t.Sources() {
		for _, r := range s.Reads {
			if name, ok := strings.CutPrefix(r, secretRead); ok {
				names = append(names, strings.TrimSuffix(name, `")`))
			}
		}
	}
	return distinct(names)
}

// pointerName is a name as a part of a JSON pointer.
func pointerName(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// read notes that a path is read. mark is the number of reads before the path's
// own beginning was compiled, which is no read of its own.
func (c *compiler) read(mark int, p *place) {
	if mark < len(c.reads) {
		c.reads = c.reads[:mark]
	}
	c.reads = append(c.reads, p.path(c.scope))
}

// retrace is read for a path with constant indexes in it; what else n is changes
// nothing.
func (c *compiler) retrace(mark int, n ast.Node) {
	if path := c.trace(n); path != "" && mark < len(c.reads) {
		c.reads = append(c.reads[:mark], path)
	}
}

// trace writes the path of constant names and indexes that n is, "" for none.
func (c *compiler) trace(n ast.Node) string {
	switch n := n.(type) {
	case *ast.ChainNode:
		return c.trace(n.Node)
	case *ast.IdentifierNode, *ast.CallNode:
		var p place
		if c.place(n, &p) {
			return p.path(c.scope)
		}
	case *ast.MemberNode:
		base := c.trace(n.Node)
		if base == "" {
			return ""
		}
		if s, ok := n.Property.(*ast.StringNode); ok {
			return base + step(s.Value)
		}
		if i, ok := constantIndex(n.Property); ok {
			return base + "[" + strconv.Itoa(i) + "]"
		}
	}
	return ""
}

// path writes a place as the language does.
func (p *place) path(sc *Scope) string {
	v := &sc.vars[p.slot]
	var b strings.Builder
	b.WriteString(v.Name)
	for i, name := range p.names {
		if i == 0 && v.Call {
			b.WriteString("(" + strconv.Quote(name) + ")")
			continue
		}
		if isName(name) { // without a text of its own: each path is written
			b.WriteByte('.')
			b.WriteString(name)
			continue
		}
		b.WriteString(step(name))
	}
	return b.String()
}

// step is a member of that name, in a path.
func step(name string) string {
	if isName(name) {
		return "." + name
	}
	return "[" + strconv.Quote(name) + "]"
}

// distinct gives the paths sorted, each once.
func distinct(reads []string) []string {
	if len(reads) == 0 {
		return nil
	}
	out := slices.Clone(reads)
	slices.Sort(out)
	return slices.Clip(slices.Compact(out))
}
