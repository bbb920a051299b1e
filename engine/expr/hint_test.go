package expr

import (
	"strings"
	"testing"
)

// A hint names what is there, and no alias hides a function of the library.
func TestHintsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	for foreign, own := range synonyms {
		if library[foreign] != nil {
			t.Errorf("%s is a function, and a synonym of %s", foreign, own)
		}
		if library[own] == nil && own != "in" {
			t.Errorf("%s leads to %s, which isn't there", foreign, own)
		}
	}
	for foreign := range rewrites {
		if library[foreign] != nil {
			t.Errorf("%s is a function, and has a hint", foreign)
		}
		_, problems := Compile(foreign+"(1)", nil)
		if len(problems) == 0 || problems[0].Hint == "" {
			// Some are words of the language, which the parser refuses itself.
			if len(problems) == 0 || problems[0].Code != CodeSyntax {
				t.Errorf("%s: %v", foreign, problems)
			}
		}
	}
	for foreign, hint := range foreignNames {
		_, problems := Compile(foreign, NewScope(Var{Name: "trigger"}))
		if len(problems) != 1 || problems[0].Hint != hint {
			t.Errorf("%s: %v", foreign, problems)
		}
	}
}

// The library's names are written in one way and clash with nothing.
func TestLibraryNames(t *testing.T) {
	t.Parallel()
	for _, s := range ordered {
		if s.doc == "" || !strings.HasSuffix(s.doc, ".") || s.group == "" || s.returns == "" {
			t.Errorf("%s lacks a doc, a group or what it returns", s.name)
		}
		if strings.ContainsAny(s.name, "_- ") || s.name[0] < 'a' || s.name[0] > 'z' {
			t.Errorf("%s isn't in camelCase", s.name)
		}
		for i, p := range s.params {
			if p.typ == nil && !isPredicate(s.name) {
				t.Errorf("%s: the parameter %s has no type", s.name, p.name)
			}
			if i > 0 && s.params[i-1].optional && !p.optional {
				t.Errorf("%s: %s can't be left out, what stands before it can", s.name, p.name)
			}
		}
	}
	seen := map[string]string{}
	for _, s := range ordered {
		low := strings.ToLower(s.name)
		if other := seen[low]; other != "" {
			t.Errorf("%s and %s differ in case alone", s.name, other)
		}
		seen[low] = s.name
	}
}

// A habit is answered with what there is.
func TestHintsNameWhatIsInScope(t *testing.T) {
	t.Parallel()
	closed := NewScope(Var{Name: "trigger", Type: ObjectOf([]Prop{{Name: "title", Type: StringType()}}, nil)})
	for _, c := range []struct {
		sc   *Scope
		want string
	}{
		{newScope(t), `did you mean "trigger.body"?`},
		{NewScope(Var{Name: "trigger"}), `did you mean "trigger.body"?`},
		{closed, `did you mean "trigger"?`},
		{NewScope(Var{Name: "output"}), `known are output`},
	} {
		if _, problems := Compile(`$json`, c.sc); len(problems) != 1 || problems[0].Hint != c.want {
			t.Errorf("%v, want %s", problems, c.want)
		}
	}
}
