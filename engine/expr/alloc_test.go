//go:build !race

// Under the race detector a sync.Pool forgets at random.

package expr

import (
	"runtime"
	"strings"
	"testing"
)

// The four fields take the allocations of their values, and few more.
func TestFourFieldsAllocations(t *testing.T) {
	four := fourTemplates(t)
	env := &Env{Values: []any{taskMap(t)}}
	got := testing.AllocsPerRun(100, func() {
		for _, tm := range four {
			if _, err := tm.Eval(env); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got > 6 {
		t.Errorf("%v allocations, at most 6", got)
	}
	var dst []byte
	got = testing.AllocsPerRun(100, func() {
		for _, tm := range four {
			dst, _ = tm.AppendJSON(dst[:0], env)
		}
	})
	if got > 4 {
		t.Errorf("%v allocations for their JSON, at most 4", got)
	}
}

// What a call allocates is charged: it takes no more than a few times the bytes
// that it counts, and the budget's.
func TestWhatIsAllocatedIsCharged(t *testing.T) {
	sc := NewScope(Var{Name: "s", Type: StringType()})
	text := strings.Repeat("ab,1;", 4_000)
	for _, src := range []string{
		`camelCase(s)`, `slug(s)`, `characters(s)`, `matchAll(s, "(a)(b)")`, `replaceRegexp(s, "a(b)", "$1$1")`, `splitRegexp(s, ",")`, `parseCsvRows(s)`, `parseCsvRows(s, ";")`,
		`split(s, ",")`, `toHex(s)`, `urlEncode(s)`, `parseQuery(replace(s, ";", "&"))`, `parseXml("<a>" + replace(replace(s, "a", "<x>"), "b", "</x>") + "</a>")`, `stripHtml(s)`, `union(characters(s), [])`,
		`sort(characters(s))`, `groupBy(characters(s), #)`, `toJSON(characters(s), 2)`, `sha256(s)`, `sliding(characters(s), 3)`, `formatCsv(map(characters(s), [#]))`, `escapeHtml(s)`, `lines(replace(s, ";", "\n"))`,
	} {
		p, problems := Compile(src, sc)
		if p == nil {
			t.Errorf("%s: %v", src, problems)
			continue
		}
		var used Usage
		env := &Env{Values: []any{text}, Usage: &used}
		const runs = 4
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := p.Eval(env); err != nil {
				t.Errorf("%s: %v", src, err)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > uint64(4*used.Bytes+64<<10) {
			t.Errorf("%s: allocates %d bytes and counts %d", src, got, used.Bytes)
		}
	}
}

// The index of an ordinary event is small beside the event.
func TestIndexAllocations(t *testing.T) {
	doc := taskEvent(0)
	if got := testing.AllocsPerRun(100, func() {
		r, _ := NewRaw(doc).(*Raw)
		r.index()
	}); got > 4 {
		t.Errorf("%v allocations for an index, at most 4", got)
	}
	var before, after runtime.MemStats
	const runs = 100
	runtime.ReadMemStats(&before)
	for range runs {
		r, _ := NewRaw(doc).(*Raw)
		r.index()
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 900 {
		t.Errorf("an event of %d bytes has an index of %d; at most 900", len(doc), got)
	}
}
