package graph

import (
	"strings"
	"time"
)

// The defaults and limits of Paginate's fields.
const (
	// DefaultMaxPages is how many pages are asked for where max_pages is left
	// out, and MaxPages the most that it may say.
	DefaultMaxPages = 100
	MaxPages        = 10_000
	// MaxPlace is the greatest start, step and size of page and offset.
	MaxPlace = 1_000_000_000
	// maxFieldPath is how many bytes the place of a field may have.
	maxFieldPath = 256
)

// Paginate says how a step goes on from one page of results to the next. Of
// Next, Link, Page, Offset and Cursor exactly one is set.
type Paginate struct {
	// Next is a text, the expression of the next page's URL.
	Next *Value
	// Link is the relation of the link that leads on (RFC 8288): "next".
	Link string
	// Page and Offset count, Cursor hands on what a page gives.
	Page   *PageNumber
	Offset *PageOffset
	Cursor *PageCursor

	// Items is the expression of a page's list, a text; nil: the body, or the
	// output itself.
	Items *Value
	// Until is the expression that ends the asking, a text; nil: there is none.
	Until *Value
	// MaxPages is 1 to MaxPages; 0: DefaultMaxPages.
	MaxPages int
	// OnLimit is "", "fail" or "stop": what becomes of a list that goes on
	// after MaxPages.
	OnLimit string
	// Delay is the pause before each further page; 0: none.
	Delay time.Duration

	// Pos is where it stands.
	Pos Pos
}

// PageNumber puts the number of the page into a field of the input.
type PageNumber struct {
	// Field is the field's place, see FieldPath.
	Field string
	// Start is the first page's number; nil: 1.
	Start *int
	// Step is what is added for the next page; 0: 1.
	Step int
}

// PageOffset puts the number of the items to pass over into a field of the
// input.
type PageOffset struct {
	// Field is the field's place, see FieldPath.
	Field string
	// Start is the first page's.
	Start int
	// By is the size of a page; 0: what was got is counted.
	By int
}

// PageCursor puts what a page gives into a field of the input.
type PageCursor struct {
	// Field is the field's place, see FieldPath.
	Field string
	// Value is the expression of what is put there, a text.
	Value *Value
}

// FieldPath reads the place of a field in the input: names with dots between,
// "query.page", or a JSON pointer where a name holds a dot, "/query/page.number".
// It is nil when s is neither.
func FieldPath(s string) []string {
	if s == "" || len(s) > maxFieldPath {
		return nil
	}
	sep := "."
	rest, pointer := strings.CutPrefix(s, "/")
	if pointer {
		sep = "/"
	}
	path := strings.Split(rest, sep)
	for i, name := range path {
		if name == "" {
			return nil
		}
		if pointer {
			path[i] = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		}
	}
	return path
}

// paginateModes are the keys of which exactly one is given.
func paginateModes() []string { return []string{"next", "link", "page", "offset", "cursor"} }

func (d *decoder) paginate(v *Value, at *path) *Paginate {
	to := &Paginate{Pos: pos(v)}
	object(d, to, v, at, []key[Paginate]{
		{"next", func(d *decoder, to *Paginate, m Member, at *path) { to.Next = d.expression(m.Value, at) }},
		{"link", func(d *decoder, to *Paginate, m Member, at *path) {
			to.Link = d.limited(m.Value, at, maxFieldPath)
			if m.Value.Kind == String && (to.Link == "" || strings.ContainsAny(to.Link, " \t\r\n\",;")) {
				d.fail(m.Value, at, "pattern", "must be one relation of a link, such as next")
			}
		}},
		{"page", func(d *decoder, to *Paginate, m Member, at *path) { to.Page = d.pageNumber(m.Value, at) }},
		{"offset", func(d *decoder, to *Paginate, m Member, at *path) { to.Offset = d.pageOffset(m.Value, at) }},
		{"cursor", func(d *decoder, to *Paginate, m Member, at *path) { to.Cursor = d.pageCursor(m.Value, at) }},
		{"items", func(d *decoder, to *Paginate, m Member, at *path) { to.Items = d.expression(m.Value, at) }},
		{"until", func(d *decoder, to *Paginate, m Member, at *path) { to.Until = d.expression(m.Value, at) }},
		{"max_pages", func(d *decoder, to *Paginate, m Member, at *path) {
			to.MaxPages = d.integer(m.Value, at, 1, MaxPages)
		}},
		{"on_limit", func(d *decoder, to *Paginate, m Member, at *path) {
			to.OnLimit = d.oneOf(m.Value, at, "fail", "stop")
		}},
		{"delay", func(d *decoder, to *Paginate, m Member, at *path) { to.Delay = d.duration(m.Value, at) }},
	}, nil)
	var given []string
	for _, name := range paginateModes() {
		if v.Get(name) != nil {
			given = append(given, name)
		}
	}
	switch len(given) {
	case 0:
		d.fail(v, at, "required", "paginate needs one of %s", strings.Join(paginateModes(), ", "))
	case 1:
	default:
		d.fail(v.Get(given[1]), at.member(given[1]), "exclusive",
			"paginate goes on in one way; this one has %s", strings.Join(given, " and "))
	}
	return to
}

// expression is a text that program will compile.
func (d *decoder) expression(v *Value, at *path) *Value {
	if !d.want(v, at, String) {
		return nil
	}
	return v
}

// field is the place of a field in the input.
func (d *decoder) field(v *Value, at *path) string {
	s := d.text(v, at)
	if v.Kind == String && FieldPath(s) == nil {
		d.fail(v, at, "pattern", "must be the place of a field of the input, such as query.page, not %q", clip(s))
	}
	return s
}

func (d *decoder) pageNumber(v *Value, at *path) *PageNumber {
	if !d.want(v, at, Object) {
		return nil
	}
	to := &PageNumber{}
	object(d, to, v, at, []key[PageNumber]{
		{"field", func(d *decoder, to *PageNumber, m Member, at *path) { to.Field = d.field(m.Value, at) }},
		{"start", func(d *decoder, to *PageNumber, m Member, at *path) {
			n := d.integer(m.Value, at, 0, MaxPlace)
			to.Start = &n
		}},
		{"step", func(d *decoder, to *PageNumber, m Member, at *path) { to.Step = d.integer(m.Value, at, 1, MaxPlace) }},
	}, nil)
	d.present(v, at, "field")
	return to
}

func (d *decoder) pageOffset(v *Value, at *path) *PageOffset {
	if !d.want(v, at, Object) {
		return nil
	}
	to := &PageOffset{}
	object(d, to, v, at, []key[PageOffset]{
		{"field", func(d *decoder, to *PageOffset, m Member, at *path) { to.Field = d.field(m.Value, at) }},
		{"start", func(d *decoder, to *PageOffset, m Member, at *path) {
			to.Start = d.integer(m.Value, at, 0, MaxPlace)
		}},
		{"by", func(d *decoder, to *PageOffset, m Member, at *path) { to.By = d.integer(m.Value, at, 1, MaxPlace) }},
	}, nil)
	d.present(v, at, "field")
	return to
}

func (d *decoder) pageCursor(v *Value, at *path) *PageCursor {
	if !d.want(v, at, Object) {
		return nil
	}
	to := &PageCursor{}
	object(d, to, v, at, []key[PageCursor]{
		{"field", func(d *decoder, to *PageCursor, m Member, at *path) { to.Field = d.field(m.Value, at) }},
		{"value", func(d *decoder, to *PageCursor, m Member, at *path) { to.Value = d.expression(m.Value, at) }},
	}, nil)
	d.present(v, at, "field", "value")
	return to
}

// tree is the value as canonical JSON has it.
func (p *Paginate) tree() *Value {
	b := newBuilder()
	b.value("next", p.Next)
	b.text("link", p.Link)
	if x := p.Page; x != nil {
		page := newBuilder()
		page.text("field", x.Field)
		if x.Start != nil {
			page.number("start", *x.Start)
		}
		page.integer("step", x.Step)
		b.value("page", &page.v)
	}
	if x := p.Offset; x != nil {
		offset := newBuilder()
		offset.text("field", x.Field)
		offset.integer("start", x.Start)
		offset.integer("by", x.By)
		b.value("offset", &offset.v)
	}
	if x := p.Cursor; x != nil {
		cursor := newBuilder()
		cursor.text("field", x.Field)
		cursor.value("value", x.Value)
		b.value("cursor", &cursor.v)
	}
	b.value("items", p.Items)
	b.value("until", p.Until)
	b.integer("max_pages", p.MaxPages)
	b.text("on_limit", p.OnLimit)
	b.duration("delay", p.Delay)
	return &b.v
}
