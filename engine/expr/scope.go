package expr

// A Var is one name of a scope.
type Var struct {
	// Name is what an expression calls it; empty: its place is left free.
	Name string
	// Type is what the name stands for; nil: any.
	Type *Type
	// Call: the name is used as name("literal"), with a constant text, and
	// means that member of its value. Type is then an object type.
	Call bool
}

// A Scope is the names that an expression can use. Its zero value knows none.
type Scope struct {
	vars   []Var
	limits Limits
}

// NewScope makes a scope; the value of vars[i] is Env.Values[i]. Making one
// costs no more than the struct.
func NewScope(vars ...Var) *Scope { return &Scope{vars: vars} }

// WithLimits gives the same scope with other limits of the source.
func (s *Scope) WithLimits(l Limits) *Scope { return &Scope{vars: s.vars, limits: l} }

func (s *Scope) find(name string) (int, *Var) {
	if s != nil {
		for i := range s.vars {
			if s.vars[i].Name == name {
				return i, &s.vars[i]
			}
		}
	}
	return 0, nil
}

func (s *Scope) names() []string {
	if s == nil {
		return nil
	}
	out := make([]string, 0, len(s.vars))
	for _, v := range s.vars {
		if v.Name != "" {
			out = append(out, v.Name)
		}
	}
	return out
}
