package expr

import (
	"fmt"
	"slices"
	"strconv"
)

// Assignable says whether a value of type from may be given to a field of type
// to, and if not, why not, beginning with the path inside of the value.
//
// Any fits both ways, and so does a text without known values where some are
// asked for: those are checked when the value is there. Times and durations fit
// strings, which they are as JSON; a secret fits only a secret.
func Assignable(from, to *Type) (ok bool, why string) {
	a := assigner{budget: 2 * maxTypeSize}
	why = a.why(known(from), known(to), "")
	return why == "", why
}

type assigner struct{ budget int }

func (a *assigner) why(from, to *Type, path string) string {
	if a.budget--; a.budget < 0 {
		return ""
	}
	at := func(format string, args ...any) string {
		s := fmt.Sprintf(format, args...)
		if path != "" {
			return path + ": " + s
		}
		return s
	}
	if from.secret && (from.dyn || to.dyn || from.k&kSecret != 0 && to.k&kSecret == 0) {
		return at("a secret can be given only to a field that takes one")
	}
	if from.dyn || to.dyn || from.empty() {
		return ""
	}
	if from.nullable() && !to.nullable() {
		if from.only(kNull) {
			return at("expected %s, got null", to)
		}
		return at("the value may be absent; %s", addDefault)
	}
	have := from.k
	if have&(kTime|kDuration) != 0 && to.k&kString != 0 {
		have &^= kTime | kDuration
	}
	if have&kInt != 0 && to.k&(kFloat|kDecimal) != 0 {
		have &^= kInt
	}
	if have&kDecimal != 0 && to.k&kFloat != 0 || have&kFloat != 0 && to.k&kDecimal != 0 {
		have &^= kDecimal | kFloat
	}
	if left := have &^ to.k; left != 0 {
		return at("expected %s, got %s%s", to, from, conversion(left, to))
	}
	if why := a.enum(from, to); why != "" {
		return at("%s", why)
	}
	if from.k&kList != 0 {
		if why := a.why(from.item(), to.item(), path+"[]"); why != "" {
			return why
		}
	}
	if from.k&kObject != 0 {
		return a.members(from, to, path, at)
	}
	return ""
}

// conversion says which function would make a value fit.
func conversion(left kinds, to *Type) string {
	switch {
	case to.k&kString != 0 && left&^(kNumber|kBool) == 0:
		return "; make a text of it with string()"
	case to.k&kNumber == kInt && left&^(kFloat|kDecimal) == 0:
		return "; make an integer of it with int() or round()"
	case to.k&kNumber != 0 && left == kString:
		return "; make a number of it with int() or float()"
	case to.k&kList != 0 && left&kList == 0 && to.only(kList|kNull):
		return "; make a list of it with [ ]"
	}
	return ""
}

func (a *assigner) enum(from, to *Type) string {
	if len(to.enum) == 0 || len(from.enum) == 0 {
		return ""
	}
	for _, v := range from.enum {
		if slices.Contains(to.enum, v) {
			continue
		}
		s, ok := v.(string)
		if !ok {
			return fmt.Sprintf("%v isn't one of the possible values", v)
		}
		var texts []string
		for _, e := range to.enum {
			if t, ok := e.(string); ok {
				texts = append(texts, t)
			}
		}
		why := clip(s) + " isn't one of the possible values"
		if hint := didYouMean(Nearest(s, texts)); hint != "" {
			return why + "; " + hint
		}
		for i, t := range texts {
			if i == 12 {
				why += ", …"
				break
			}
			if i == 0 {
				why += "; possible are "
			} else {
				why += ", "
			}
			why += strconv.Quote(t)
		}
		return why
	}
	return ""
}

func (a *assigner) members(from, to *Type, path string, at func(string, ...any) string) string {
	inner := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	for i := range to.props {
		want := &to.props[i]
		got := from.prop(want.name)
		switch {
		case got == nil:
			if !want.opt && from.extra == nil {
				return at("the member %s is missing", clipName(want.name))
			}
			if from.extra != nil {
				if why := a.why(from.extra, want.typ, inner(want.name)); why != "" {
					return why
				}
			}
			continue
		case got.opt && !want.opt:
			return inner(want.name) + ": the member may be absent; " + addDefault
		}
		if why := a.why(got.typ, want.typ, inner(want.name)); why != "" {
			return why
		}
	}
	for i := range from.props {
		got := &from.props[i]
		if to.prop(got.name) != nil {
			continue
		}
		if to.extra == nil {
			why := at("unknown member %s", clipName(got.name))
			if hint := fieldHint(to, got.name); hint != "" {
				why += "; " + hint
			}
			return why
		}
		if why := a.why(got.typ, to.extra, inner(got.name)); why != "" {
			return why
		}
	}
	if from.extra != nil && to.extra != nil {
		return a.why(from.extra, to.extra, inner("*"))
	}
	return ""
}
