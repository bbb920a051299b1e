package program

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// PageWay is how a step gets from one page to the next.
type PageWay uint8

// The ways.
const (
	// PageURL: Next gives the next page's URL, or null.
	PageURL PageWay = iota
	// PageLink: Next gives the Link header, in which Rel is looked for.
	PageLink
	// PageValue: Next gives what the field at Path takes for the next page, or
	// null.
	PageValue
	// PageCount: the field at Path counts from Start, by By; a page without items
	// is the last.
	PageCount
	// PageItems: as PageCount, by the number of items that were got.
	PageItems
)

// urlField is the field of an input that takes a URL.
const urlField = "url"

// A Paginate is a compiled `paginate`.
type Paginate struct {
	Way PageWay
	// Path is the place of the field in the input.
	Path []string
	// Next is nil of the ways that count.
	Next *expr.Template
	// Rel is the relation of a link.
	Rel string
	// Start is what the field takes for the first page, By what is added.
	Start, By int
	// Items gives a page's list.
	Items *expr.Template
	// Until says that enough was got; nil: that is never said.
	Until *expr.Template
	// MaxPages is how many pages are asked for; StopAtLimit: what was got by then
	// is the output, else the attempt fails.
	MaxPages    int
	StopAtLimit bool
	// Delay is the pause before each further page.
	Delay time.Duration
}

// Counts says whether the field is set for the first page, too.
func (p *Paginate) Counts() bool { return p.Way == PageCount || p.Way == PageItems }

// paginate compiles `paginate`, whose output is a list of its items.
func (b *builder) paginate(to *Step, from *graph.Step, i int, a *action) {
	p := from.Paginate
	if p == nil {
		return
	}
	to.Output = expr.ListOf(expr.Any())
	values := []*graph.Value{p.Next, p.Items, p.Until}
	if p.Cursor != nil {
		values = append(values, p.Cursor.Value)
	}
	output := expr.Any()
	if a != nil {
		output = a.output
	}
	k := &pages{
		mapper: b.resultMapper(i, output, values...), from: from, at: from.Pointer + "/paginate",
		to: &Paginate{MaxPages: cmp.Or(p.MaxPages, graph.DefaultMaxPages), StopAtLimit: p.OnLimit == "stop", Delay: p.Delay},
	}
	if a != nil {
		k.input, k.output, k.use = a.input, a.output, a.spec.Use
	}
	k.way()
	k.items()
	if p.Until != nil {
		k.to.Until = k.condition(p.Until, k.at+"/until")
	}
	to.Paginate = k.to
	if k.to.Items != nil {
		if elem := k.to.Items.Type().Elem(); elem != nil {
			to.Output = expr.ListOf(elem)
		}
	}
}

// pages compiles one `paginate`.
type pages struct {
	*mapper
	from *graph.Step
	to   *Paginate
	at   string
	// use is the action's full name, input and output its types; empty and nil
	// when it isn't known.
	use           string
	input, output *expr.Type
}

// way compiles how the step goes on.
func (k *pages) way() {
	switch p, to := k.from.Paginate, k.to; {
	case p.Next != nil:
		to.Way, to.Path = PageURL, []string{urlField}
		to.Next = k.next(p.Next, k.at+"/next")
		if to.Next != nil {
			k.fits(p.Next, k.at+"/next", to.Next.Type(), expr.Optional(expr.StringType()), "the next URL is a text, or null after the last page")
		}
		k.hasURL("next", place(p.Next))
	case p.Link != "":
		to.Way, to.Path, to.Rel = PageLink, []string{urlField}, p.Link
		k.link()
		k.hasURL("link", p.Pos)
	case p.Page != nil:
		to.Way, to.Start, to.By = PageCount, 1, cmp.Or(p.Page.Step, 1)
		if p.Page.Start != nil {
			to.Start = *p.Page.Start
		}
		k.field(p.Page.Field, "page", expr.Int())
	case p.Offset != nil:
		to.Way, to.Start, to.By = PageCount, p.Offset.Start, p.Offset.By
		if to.By == 0 {
			to.Way = PageItems
		}
		k.field(p.Offset.Field, "offset", expr.Int())
	case p.Cursor != nil:
		to.Way = PageValue
		t := expr.Any()
		if v := p.Cursor.Value; v != nil {
			if to.Next = k.next(v, k.at+"/cursor/value"); to.Next != nil {
				t = to.Next.Type()
			}
		}
		k.field(p.Cursor.Field, "cursor", t)
	}
}

// next compiles an expression of the next page.
func (k *pages) next(v *graph.Value, pointer string) *expr.Template {
	k.warn(v, pointer)
	if !isTemplate(v) {
		k.b.fail(place(v), pointer, "value", "must be an expression that reads the page's output, such as ${{ output.body.next }}")
		return nil
	}
	t, problems := expr.Text(v.Text, k.scope)
	if k.tell(v, pointer, problems) {
		return nil
	}
	if t.Type().Secret() {
		k.b.fail(place(v), pointer, expr.CodeSecret, "the place of the next page can't be a secret")
		return nil
	}
	return t
}

// link compiles where the Link header is.
func (k *pages) link() {
	const source = `output.headers["link"]`
	t, problems := expr.Expr(source, k.scope)
	if len(problems) > 0 {
		k.b.fail(k.from.Paginate.Pos, k.at+"/link", "value",
			"the output of %s has no headers.link, so there is no Link header to follow; use next or cursor", k.use)
		return
	}
	k.to.Next = t
}

// hasURL tells when the step gives no URL that the next one can take the place
// of.
func (k *pages) hasURL(way string, at graph.Pos) {
	if k.input == nil || k.from.With.Get(urlField) != nil {
		return
	}
	k.b.fail(at, k.at+"/"+way, "required",
		"%s puts the next URL into the field %q, which this step doesn't give; use cursor, which names its field", way, urlField)
}

// field checks that a value can be put into the field at a place of the input.
func (k *pages) field(at, way string, value *expr.Type) {
	k.to.Path = graph.FieldPath(at)
	pos, pointer := k.from.Paginate.Pos, k.at+"/"+way+"/field"
	t, given := k.input, k.from.With
	for _, name := range k.to.Path {
		given = given.Get(name)
		if t.IsAny() {
			continue
		}
		next, _, ok := t.Prop(name)
		if !ok && t.Closed() {
			var known []string
			for _, p := range t.Props() {
				known = append(known, p.Name)
			}
			k.b.fail(pos, pointer, "unknown_field", "the input of %s has no %q here; it has %s", k.use, name, strings.Join(known, ", "))
			return
		}
		if !ok {
			next = t.Field(name)
		}
		t = next
	}
	if !t.IsAny() {
		// Null is never put there: it ends the pages.
		if value.Nullable() {
			t = expr.Optional(t)
		}
		if ok, why := expr.Assignable(value, t); !ok {
			k.b.fail(pos, pointer, "type", "the field %s can't take it; %s", at, why)
		}
	}
	if given != nil && k.to.Counts() {
		k.b.add(graph.Problem{
			Pointer: pointer, Line: pos.Line, Column: pos.Column, Code: "exclusive", Warning: true,
			Message: "paginate sets " + at + " for every page; what `with` gives there is never sent",
		})
	}
}

// items compiles which list a page has.
func (k *pages) items() {
	const rule = "items must be the list of a page"
	list := expr.ListOf(expr.Any())
	if v := k.from.Paginate.Items; v != nil {
		pointer := k.at + "/items"
		t, problems := expr.Expr(v.Text, k.scope)
		if !k.tell(v, pointer, problems) {
			k.to.Items = t
			k.fits(v, pointer, t.Type(), list, rule)
		}
		return
	}
	if k.output == nil {
		return
	}
	for _, source := range []string{"output.body", "output"} {
		// What may be anything is a list or not when the page is there; an output
		// that may be anything may have no body either.
		if source == "output" && k.output.IsAny() || source == "output.body" && !slices.ContainsFunc(k.output.Props(), isBody) {
			continue
		}
		t, problems := expr.Expr(source, k.scope)
		if len(problems) > 0 {
			continue
		}
		if ok, _ := expr.Assignable(t.Type(), list); ok {
			k.to.Items = t
			return
		}
	}
	k.b.fail(k.from.Paginate.Pos, k.at, "required",
		`the field "items" is missing: the output of %s isn't a list and has no body that may be one`, k.use)
}

func isBody(p expr.Prop) bool { return p.Name == "body" }
