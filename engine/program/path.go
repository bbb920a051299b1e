package program

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// maxParams is how many parameters a path may have.
const maxParams = 16

// A Segment is what stands between two slashes of a path: a text that requests
// have as it is, or the name of a parameter, which takes any text but "". Exactly
// one is set.
type Segment struct{ Literal, Param string }

// A Path is where the requests of a webhook trigger come in, below /hooks/, such
// as orders/{id}/items.
type Path []Segment

// ParsePath reads a path. Each segment is literal or one parameter in braces,
// whose name is of a-z, 0-9 and _, begins with a letter and isn't there twice.
// Slashes at either end don't count.
func ParsePath(text string) (Path, error) {
	var p Path
	for part := range strings.SplitSeq(strings.Trim(text, "/"), "/") {
		var s Segment
		name, open := strings.CutPrefix(part, "{")
		name, closed := strings.CutSuffix(name, "}")
		switch {
		case part == "":
			return nil, errors.New("a segment of the path is empty: write something between the slashes")
		case open && closed:
			if !isParam(name) {
				return nil, fmt.Errorf("%.60q names no parameter: a name is of a-z, 0-9 and _ and begins with a letter, such as {id}", part)
			}
			if slices.ContainsFunc(p, func(s Segment) bool { return s.Param == name }) {
				return nil, fmt.Errorf("the parameter {%.60s} is there twice: give each its own name", name)
			}
			s.Param = name
		case strings.ContainsAny(part, "{}?#"):
			return nil, fmt.Errorf("%.60q is no segment of a path: use letters, digits and dashes, or one parameter such as {id}", part)
		default:
			s.Literal = part
		}
		p = append(p, s)
	}
	if n := len(p.Params()); n > maxParams {
		return nil, fmt.Errorf("the path has %d parameters; the most are %d", n, maxParams)
	}
	return p, nil
}

func isParam(name string) bool {
	for i := range len(name) {
		c := name[i]
		if ('a' > c || c > 'z') && (i == 0 || c != '_' && ('0' > c || c > '9')) {
			return false
		}
	}
	return name != ""
}

// Params gives the names of the parameters, in their order; nil when it has none.
func (p Path) Params() []string {
	var out []string
	for _, s := range p {
		if s.Param != "" {
			out = append(out, s.Param)
		}
	}
	return out
}

// String writes the path as ParsePath reads it.
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteByte('/')
		}
		if s.Param != "" {
			b.WriteString("{" + s.Param + "}")
		} else {
			b.WriteString(s.Literal)
		}
	}
	return b.String()
}

// typ is the type of the parameters' values.
func (p Path) typ() *expr.Type {
	var props []expr.Prop
	for _, name := range p.Params() {
		props = append(props, expr.Prop{Name: name, Type: expr.StringType()})
	}
	return expr.ObjectOf(props, nil)
}

// paths checks the fields of a trigger's config that hold paths.
func (b *builder) paths(spec *TriggerSpec, with *graph.Value, pointer string) {
	fields := describedMembers(spec.Event)
	for _, member := range slices.Sorted(maps.Keys(fields)) {
		v := with.Get(fields[member].Path)
		if v == nil || v.Kind != graph.String {
			continue
		}
		if _, err := ParsePath(v.Text); err != nil {
			b.fail(place(v), graph.Pointer(pointer, fields[member].Path), "path", "%v", err)
		}
	}
}
