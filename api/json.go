package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/expr"
)

// checkObject says what is wrong with b as one JSON object: syntax, UTF-8,
// depth and members that are there twice, which different readers read
// differently; nil when nothing is. With fold, members that differ in case
// alone are the same.
func checkObject(b []byte, depth int, fold bool) *ProblemError {
	if !utf8.Valid(b) {
		i := 0
		for i < len(b) {
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			i += n
		}
		return at(b, int64(i), "syntax", "the text is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(b, &whole); err != nil {
		if se, ok := errors.AsType[*json.SyntaxError](err); ok {
			return at(b, max(0, se.Offset-1), "syntax", se.Error())
		}
		return at(b, 0, "syntax", "the text is not JSON")
	}
	if b = bytes.TrimRight(b, " \t\r\n"); bytes.TrimLeft(b, " \t\r\n")[0] != '{' {
		return at(b, 0, "type", "the body must be a JSON object")
	}
	return walk(b, depth, fold)
}

// A level is an object or a list that is open.
type level struct {
	names map[string]struct{} // nil for a list
	name  string              // the member that is being read
	index int                 // the item that is being read
	value bool                // a member's name was read, its value wasn't
}

// walk reads valid JSON token by token, without recursion.
func walk(b []byte, depth int, fold bool) *ProblemError {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var open []level
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return at(b, d.InputOffset(), "syntax", "the text is not JSON")
		}
		top := len(open) - 1
		if name, ok := t.(string); ok && top >= 0 && open[top].names != nil && !open[top].value {
			key := name
			if fold {
				key = strings.ToLower(name)
			}
			open[top].name, open[top].value = name, true
			if _, twice := open[top].names[key]; twice {
				x := at(b, d.InputOffset()-1, "duplicate", fmt.Sprintf("the member %.80q is there twice", name))
				x.Pointer = pointerTo(open)
				return x
			}
			open[top].names[key] = struct{}{}
			continue
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if len(open) == depth {
				x := at(b, d.InputOffset()-1, "limit",
					fmt.Sprintf("it is nested more than %d deep, which is the limit (limits.event_depth)", depth))
				x.Pointer = pointerTo(open)
				return x
			}
			l := level{}
			if t == json.Delim('{') {
				l.names = map[string]struct{}{}
			}
			open = append(open, l)
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:top]
			top--
		}
		if top >= 0 {
			open[top].value = false
			open[top].index++
		}
	}
}

func pointerTo(open []level) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, l := range open {
		b.WriteByte('/')
		if l.names == nil {
			b.WriteString(strconv.Itoa(l.index))
		} else {
			b.WriteString(escape.Replace(l.name))
		}
	}
	return b.String()
}

// at makes a problem of an offset in b.
func at(b []byte, offset int64, code, message string) *ProblemError {
	before := b[:min(offset, int64(len(b)))]
	line := bytes.LastIndexByte(before, '\n')
	return &ProblemError{
		Line: bytes.Count(before, []byte{'\n'}) + 1, Column: utf8.RuneCount(before[line+1:]) + 1,
		Code: code, Message: message,
	}
}

// strict reads a JSON object into v: no member twice, and none that v doesn't
// have. Names are exact; data in v may have names that differ in case alone.
func strict(b []byte, v any, depth int) error {
	x := checkObject(b, depth, false)
	if x == nil {
		x = unknownMember(b, reflect.TypeOf(v), "")
	}
	if x == nil {
		err := json.Unmarshal(b, v)
		if err == nil {
			return nil
		}
		x = &ProblemError{Code: "type", Message: err.Error()}
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			x = at(b, max(0, te.Offset-1), "type", fmt.Sprintf("%s is wanted here, not a JSON %s", kindName(te.Type), te.Value))
			x.Pointer = pointer(te.Field)
		}
	}
	return classOf(engine.Invalid).problem(x.text(), *x)
}

// unknownMember tells of the first member, by name, that a struct doesn't have.
func unknownMember(b []byte, t reflect.Type, base string) *ProblemError {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var members map[string]json.RawMessage
	if t.Kind() != reflect.Struct || json.Unmarshal(b, &members) != nil {
		return nil
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			fields[name] = f.Type
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := base + pointerTo([]level{{names: map[string]struct{}{}, name: name}})
		field, ok := fields[name]
		if !ok {
			x := &ProblemError{Pointer: at, Code: "unknown_field", Message: fmt.Sprintf("unknown field %.80q", name)}
			if near := expr.Nearest(name, slices.Sorted(maps.Keys(fields))); near != "" {
				x.Suggestion = fmt.Sprintf("did you mean %q?", near)
			}
			return x
		}
		if x := unknownMember(members[name], field, at); x != nil {
			return x
		}
	}
	return nil
}

func kindName(t reflect.Type) string {
	if t.Kind() == reflect.String {
		return "a text"
	}
	if t.Kind() == reflect.Int {
		return "a whole number"
	}
	return "an object"
}

// decode reads a JSON object into v, strictly: no member twice, not even in
// another case, and none that v doesn't have.
func decode(b []byte, v any, depth int) error {
	if x := checkObject(b, depth, true); x != nil {
		return errors.New(x.text())
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}
