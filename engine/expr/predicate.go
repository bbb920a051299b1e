package expr

import (
	"sort"
	"strconv"
	"time"

	"github.com/expr-lang/expr/ast"
)

// isPredicate tells the functions that take an expression over #. The parser
// knows them, so the list is the parser's.
func isPredicate(name string) bool {
	switch name {
	case "all", "any", "count", "filter", "find", "findIndex", "findLast", "findLastIndex",
		"groupBy", "map", "none", "one", "reduce", "sortBy", "sum":
		return true
	}
	return false
}

// iteration is a compiled predicate function, before what is particular to it.
type iteration struct {
	name  string
	list  fn
	body  fn // gives the item itself when there is no predicate
	third fn // the third argument, nil when left out
	// item, bodyType and thirdType are their types.
	item, bodyType, thirdType *Type
	bodyNode                  ast.Node
	facts                     []string // what is known of the items for which it holds
	level, at                 int
	// weight is charged for each turn.
	weight int
}

func (c *compiler) predicate(n *ast.BuiltinNode) (fn, *Type) {
	it := iteration{name: n.Name, at: c.at(n), level: len(c.items)}
	if len(n.Arguments) == 0 {
		return c.fail(n, CodeArguments, "", "%s needs a list", n.Name)
	}
	list, lt := c.node(n.Arguments[0])
	if !c.needs(n.Arguments[0], lt, kList, n.Name+" needs a list") {
		lt = Any()
	}
	it.list, it.item = list, lt.item()
	if len(n.Arguments) == 3 {
		it.third, it.thirdType = c.node(n.Arguments[2])
	}
	it.bodyNode = n.Arguments[0]
	if len(n.Arguments) > 1 {
		pn, ok := n.Arguments[1].(*ast.PredicateNode)
		if !ok {
			return c.fail(n.Arguments[1], CodeArguments, "", "%s needs a predicate", n.Name)
		}
		it.bodyNode = pn.Node
		if n.Name == "reduce" {
			c.accumulate(&it)
		} else {
			c.turn(&it, nil)
		}
	} else {
		level := it.level
		c.nesting = max(c.nesting, level+1)
		it.body, it.bodyType = func(f *frame) any { return f.loops[level].item }, it.item
		it.weight = 2
	}
	if it.bodyType.secret {
		return c.fail(it.bodyNode, CodeSecret, secretHint, "a secret can't be used in %s", n.Name)
	}
	switch n.Name {
	case "map":
		return it.mapped(), ListOf(it.bodyType)
	case "sum":
		return c.sum(&it)
	case "groupBy":
		return c.groupBy(&it)
	case "sortBy":
		return c.sortBy(&it, n)
	case "reduce":
		return c.reduce(&it)
	}
	if !c.needs(it.bodyNode, it.bodyType, kBool, "the condition of "+n.Name+" must be true or false") {
		return constant(nil), Any()
	}
	switch n.Name {
	case "filter":
		return it.filter(), ListOf(it.kept())
	case "all", "any", "none":
		return it.quantified(), Bool()
	case "one":
		count := it.count()
		return func(f *frame) any { return count(f) == 1 }, Bool()
	case "count":
		count := it.count()
		return func(f *frame) any { return count(f) }, Int()
	case "find", "findLast":
		return it.find(), it.kept().orNull()
	case "findIndex", "findLastIndex":
		return it.find(), Int().orNull()
	}
	return c.fail(n, CodeUnknownFunction, "", "unknown function %s", n.Name)
}

func (it *iteration) kept() *Type { return kept(it.item, "#"+strconv.Itoa(it.level+1), it.facts) }

// turn compiles the body; acc is the type of #acc in it, nil where there is none.
func (c *compiler) turn(it *iteration, acc *Type) {
	before := c.visits
	c.items = append(c.items, item{typ: it.item, acc: acc})
	c.nesting = max(c.nesting, len(c.items))
	it.body, it.bodyType = c.node(it.bodyNode)
	it.facts = c.facts(it.bodyNode, true)
	c.items = c.items[:it.level]
	it.weight = 2 + (c.visits-before)/2
}

const (
	// maxPasses is how often the body of a reduce is compiled to find the type
	// of #acc.
	maxPasses = 3
	// maxReduces is how many reduces may stand in each other whose #acc is
	// typed: each multiplies the passes of those inside of it.
	maxReduces = 2
)

// accumulate compiles the body of a reduce. #acc has the type of what it begins
// with, widened by what the body makes of it until that adds nothing; where this
// has no end, it is any.
func (c *compiler) accumulate(it *iteration) {
	if c.reduces >= maxReduces {
		c.turn(it, Any())
		return
	}
	c.reduces++
	defer func() { c.reduces-- }()
	problems, reads, slots, visits, trials := len(c.problems), len(c.reads), c.slots, c.visits, len(c.trials)
	sought := c.probe != nil && !c.probe.found
	acc := it.first()
	for range maxPasses {
		c.turn(it, acc)
		wider := union(acc, it.bodyType)
		wrong := len(c.problems) > problems && it.bodyType.dyn // so that any would hide it
		here := sought && c.probe.found                        // the body isn't whole yet
		if same(wider, acc) || wrong || here || c.visits > c.limits.Visits {
			return
		}
		// What this pass has found counts for nothing: another one follows.
		acc = wider
		c.problems, c.reads, c.slots, c.visits, c.trials = c.problems[:problems], c.reads[:reads], slots, visits, c.trials[:trials]
	}
	c.turn(it, Any())
}

// first is the type of what a reduce begins with.
func (it *iteration) first() *Type {
	if it.third != nil {
		return it.thirdType
	}
	return it.item
}

// each runs do for each item until it gives false, and charges for the turn.
func (it *iteration) each(f *frame, backwards bool, do func(i int, item any) bool) {
	v := it.list(f)
	f.at = it.at
	xs, ok := f.force(v).([]any)
	if !ok {
		f.wrong("a list for "+it.name, v)
	}
	for k := range xs {
		i := k
		if backwards {
			i = len(xs) - 1 - k
		}
		f.step(it.weight)
		l := &f.loops[it.level]
		l.item, l.index = xs[i], i
		if !do(i, xs[i]) {
			return
		}
	}
}

func (it *iteration) cond(f *frame) bool {
	v := it.body(f)
	b, ok := v.(bool)
	if !ok {
		f.at = it.at
		f.wrong("true or false as the condition of "+it.name, v)
	}
	return b
}

func (it *iteration) mapped() fn {
	return func(f *frame) any {
		out := []any{}
		it.each(f, false, func(int, any) bool {
			v := it.body(f)
			f.alloc(32)
			out = append(out, v)
			return true
		})
		return out
	}
}

func (it *iteration) filter() fn {
	return func(f *frame) any {
		out := []any{}
		it.each(f, false, func(_ int, x any) bool {
			if it.cond(f) {
				f.alloc(32)
				out = append(out, x)
			}
			return true
		})
		return out
	}
}

func (it *iteration) quantified() fn {
	// The loop ends at the first item whose condition is stop.
	stop := it.name != "all"
	found := it.name == "any"
	return func(f *frame) any {
		r := !found
		it.each(f, false, func(int, any) bool {
			if it.cond(f) == stop {
				r = found
				return false
			}
			return true
		})
		return r
	}
}

func (it *iteration) count() func(f *frame) int {
	return func(f *frame) int {
		n := 0
		it.each(f, false, func(int, any) bool {
			if it.cond(f) {
				n++
			}
			return true
		})
		return n
	}
}

func (it *iteration) find() fn {
	backwards := it.name == "findLast" || it.name == "findLastIndex"
	index := it.name == "findIndex" || it.name == "findLastIndex"
	return func(f *frame) any {
		var r any
		it.each(f, backwards, func(i int, x any) bool {
			if !it.cond(f) {
				return true
			}
			r = x
			if index {
				r = i
			}
			return false
		})
		return r
	}
}

func (c *compiler) sum(it *iteration) (fn, *Type) {
	if !c.needs(it.bodyNode, it.bodyType, kNumber|kDuration, "sum needs numbers") {
		return constant(nil), Any()
	}
	t := it.bodyType
	if !t.dyn {
		t = union(of(t.k), Int()) // of an empty list: 0
	}
	return func(f *frame) any {
		var total any
		it.each(f, false, func(int, any) bool {
			v := it.body(f)
			f.at = it.at
			if total == nil {
				total = f.summand(v)
				return true
			}
			total = f.arith('+', total, f.summand(v))
			return true
		})
		if total == nil {
			return 0
		}
		return total
	}, t
}

func (f *frame) summand(v any) any {
	if d, ok := v.(time.Duration); ok {
		return d
	}
	return f.numeric(v)
}

func (c *compiler) groupBy(it *iteration) (fn, *Type) {
	if !c.needs(it.bodyNode, it.bodyType, kString|kBool|kNumber|kTime, "a key of groupBy must be a text, a number or a boolean") {
		return constant(nil), Any()
	}
	return func(f *frame) any {
		out := map[string]any{}
		it.each(f, false, func(_ int, x any) bool {
			v := it.body(f)
			f.at = it.at
			k := f.keyText(v)
			group, ok := out[k].([]any)
			if !ok {
				f.alloc(120)
				f.key(k)
			}
			f.step(len(k) / 16)
			f.alloc(32)
			out[k] = append(group, x)
			return true
		})
		return out
	}, ObjectOf(nil, ListOf(it.item))
}

func (c *compiler) sortBy(it *iteration, n *ast.BuiltinNode) (fn, *Type) {
	if !c.needs(it.bodyNode, it.bodyType, kString|kNumber|kTime|kDuration, "a key of sortBy must be a text, a number or a time") {
		return constant(nil), Any()
	}
	if it.third != nil && !c.order(n.Arguments[2], it.thirdType) || !c.orderly(it.bodyNode, it.bodyType, it.name) {
		return constant(nil), Any()
	}
	return func(f *frame) any {
		descending := false
		if it.third != nil {
			descending = f.descending(it.third(f))
		}
		var keys, items []any
		it.each(f, false, func(_ int, x any) bool {
			k := it.body(f)
			f.alloc(64)
			keys, items = append(keys, k), append(items, x)
			return true
		})
		f.at = it.at
		return f.sorted(items, keys, descending)
	}, ListOf(it.item)
}

// order checks the argument that says asc or desc.
func (c *compiler) order(n ast.Node, t *Type) bool {
	if !c.needs(n, t, kString, `the order must be "asc" or "desc"`) {
		return false
	}
	if s, ok := n.(*ast.StringNode); ok && s.Value != "asc" && s.Value != "desc" {
		c.fail(n, CodeEnum, `write "asc" or "desc"`, "unknown order %s", clip(s.Value))
		return false
	}
	return true
}

func (f *frame) descending(v any) bool {
	switch s := f.str(v); s {
	case "asc":
		return false
	case "desc":
		return true
	default:
		f.fail(`unknown order %s; "asc" and "desc" are known`, clip(s))
	}
	return false
}

// sorted gives the items in the order of their keys; equals stay in theirs.
func (f *frame) sorted(items, keys []any, descending bool) []any {
	f.alloc(32 * len(items))
	at := make([]int, len(items))
	for i := range at {
		at[i] = i
	}
	sort.SliceStable(at, func(i, j int) bool {
		f.step(3)
		if descending {
			i, j = j, i
		}
		return f.compare(keys[at[i]], keys[at[j]]) < 0
	})
	out := make([]any, len(items))
	for i, k := range at {
		out[i] = items[k]
	}
	if len(out) == 1 {
		f.compare(keys[0], keys[0]) // a key that can't be compared is an error in each list
	}
	return out
}

func (c *compiler) reduce(it *iteration) (fn, *Type) {
	return func(f *frame) any {
		var acc any
		has := it.third != nil
		if has {
			acc = it.third(f)
		}
		it.each(f, false, func(_ int, x any) bool {
			if !has {
				acc, has = x, true
				return true
			}
			f.loops[it.level].acc = acc
			acc = it.body(f)
			return true
		})
		if !has {
			f.at = it.at
			f.fail("reduce of an empty list needs a third argument, what to begin with")
		}
		return acc
	}, union(it.bodyType, it.first())
}
