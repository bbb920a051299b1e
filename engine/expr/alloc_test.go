//go:build !race

// Under the race detector a sync.Pool forgets at random.

package expr

import (
	"fmt"
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

// What an evaluation allocates is charged: it takes no more than a few times
// the bytes that it counts, and the budget's. Each function of the library is
// held to it twice, once with large arguments and a thousand times with the
// small ones of its examples.
func TestWhatIsAllocatedIsCharged(t *testing.T) {
	object := map[string]any{}
	rows, objects := []any{}, []any{}
	for i := range 2_000 {
		name := fmt.Sprintf("name%d", i)
		object[name] = name
		rows = append(rows, []any{name, float64(i) + 0.5})
		objects = append(objects, map[string]any{"f": name})
	}
	text := strings.Repeat("ab,1;", 4_000)
	sc := NewScope(
		Var{Name: "s", Type: StringType()}, Var{Name: "object", Type: anyObject()},
		Var{Name: "rows", Type: ListOf(anyList())}, Var{Name: "objects", Type: ListOf(anyObject())},
	)
	values := []any{text, object, rows, objects}

	// What a parameter of that name gets; else its type decides.
	named := map[string]string{
		"zone": `"Asia/Tokyo"`, "unit": `"week"`, "layout": `"2006-01-02"`, "as": `"base64"`, "order": `"desc"`, "separator": `","`, "field": `"f"`,
		"pattern": `"(a)(b)"`, "part": `"b"`, "start": `"a"`, "end": `"b"`, "prefix": `"a"`, "suffix": `";"`, "with": `"*"`, "point": `","`, "group": `"."`,
		"condition": `# != null`, "digits": `9`, "indent": `2`, "length": `30`, "size": `3`, "step": `1`, "base": `16`, "names": `["name1"]`,
		"new": `"cd"`, "limit": `9000`, "characters": `"a"`,
	}
	// Calls with large arguments that no type tells.
	own := map[string]string{
		"addBusinessDays": `addBusinessDays(now(), 9000)`, "parseCsv": `parseCsv("a,b\n" + repeat("1,\"2\"\n", 4000))`, "bool": `bool("yes")`, "date": `date("2026-11-30", "2006-01-02", "Asia/Tokyo")`, "dateOf": `dateOf(2026, 1, 1, "Asia/Tokyo")`,
		"decimal": `map(1..9000, decimal("1.5"))`, "duration": `duration("1h")`, "filter": "filter(rows, # != null)", "fail": `s == "" ? fail(s) : 1`, "float": `float("1.5")`, "formatCsv": `formatCsv(rows)`, "formatNumber": `formatNumber("9e40")`,
		"fromBase": `fromBase("ff", 16)`, "fromBase32": `fromBase32(toBase32(s))`, "fromBase64": `fromBase64(toBase64(s))`, "fromHex": `fromHex(toHex(s))`, "fromJSON": `fromJSON(toJSON(rows))`,
		"get": `get(object, "name1")`, "int": `int("7")`, "isJson": `isJson(toJSON(rows))`, "jwtPayload": `jwtPayload("a." + toBase64Url(toJSON({a: s})) + ".b")`, "len": `len(object)`,
		"mean": `mean(map(rows, #[1]))`, "median": `median(map(rows, #[1]))`, "parseNumber": `parseNumber("1,234.5")`, "parseUrl": `parseUrl("https://a/?q=" + urlEncode(s))`,
		"parseXml": `parseXml("<a>" + replace(replace(s, "a", "<x>"), "b", "</x>") + "</a>")`, "parseQuery": `parseQuery(replace(s, ";", "&"))`, "range": `range(0, 9000)`, "reduce": `reduce(rows, #acc + #[1], 0)`,
		"repeat": `repeat(s, 9)`, "rename": `rename(object, object)`, "resolveUrl": `resolveUrl("https://a/", repeat("../a/", 900))`, "secret": `1`, "stripHtml": `stripHtml(replace(s, "a", "<a>"))`, "sum": `sum(rows, #[1])`,
		"unescapeHtml": `unescapeHtml(escapeHtml(replace(s, "a", "<")))`, "unflattenObject": `unflattenObject(object, "e")`, "uuid5": `uuid5("url", s)`, "withQuery": `withQuery("https://a/", object)`,
		"zipObject": `zipObject(keys(object), rows)`, "sort": `sort(keys(object))`, "max": `max(keys(object))`, "min": `min(keys(object))`, "join": `join(rows, ",")`, "urlDecode": `urlDecode(urlEncode(s))`, "urlDecodePath": `urlDecodePath(urlEncodePath(s))`,
		"isDate": `isDate("2026-11-30")`, "divide": `divide("1", "3", 9)`, "roundHalfEven": `roundHalfEven("1.55", 1)`, "toFixed": `toFixed("1.55", 1)`, "sortBy": `sortBy(rows, #[0], "desc")`,
		"flatten": `flatten(rows)`, "uniq": `uniq(keys(object))`, "union": `union(keys(object), values(object))`, "intersection": `intersection(keys(object), values(object))`,
		"difference": `difference(keys(object), values(object))`, "includesAll": `includesAll(keys(object), values(object))`, "includesAny": `includesAny(keys(object), ["a"])`, "truncate": `truncate(s, 9000)`, "padStart": `padStart(s, 90000)`, "padEnd": `padEnd(s, 90000)`, "getPath": `getPath(object, "name1")`, "hasPath": `hasPath(object, "name1")`,
	}
	argument := func(p param) string {
		switch {
		case named[p.name] != "":
			return named[p.name]
		case p.typ == nil:
			return "string(#)"
		case p.typ.has(kList):
			if p.typ != nil && !p.typ.dyn && p.typ.item().has(kObject) && !p.typ.item().dyn {
				return "objects"
			}
			return "rows"
		case p.typ.has(kTime):
			return "now()"
		case p.typ.has(kNumber):
			return "7"
		case p.typ.has(kString):
			return "s"
		case p.typ.has(kObject):
			return "object"
		}
		return `duration("90m")`
	}
	var sources []string
	for _, s := range ordered {
		src := own[s.name]
		if src == "" {
			var args []string
			for _, p := range s.params {
				args = append(args, argument(p))
			}
			src = s.name + "(" + strings.Join(args, ", ") + ")"
		}
		sources = append(sources, src)
		for _, e := range s.examples {
			sources = append(sources, "map(1..1000, "+e.Source+")")
		}
	}
	sources = append(
		sources, `camelCase(s)`, `parseCsvRows(s, ";")`, `union(characters(s), [])`, `sort(characters(s))`, `groupBy(characters(s), #)`, `toJSON(characters(s), 2)`,
		`sliding(characters(s), 3)`, `formatCsv(map(characters(s), [#]))`, `lines(replace(s, ";", "\n"))`,
		// Arithmetic, and what numbers of far apart exponents ask for.
		`reduce(1..9000, #acc + #, 0)`, `reduce(1..9000, #acc * 0.999, 0.5)`, `map(1..9000, -# / 7)`, `map(1..9000, # ** 2 % 7)`, `map(1..9000, "a" + "b")`, `map(1..9000, now() + duration("1h"))`,
		`let d = decimal("1e6144"); let f = decimal("1e-6100"); reduce(1..9000, d - f, d)`, `let d = decimal("1e6144"); let f = decimal("1e-6100"); reduce(1..9000, f + d, d)`,
		`let d = decimal("1e6144"); map(1..9000, -d)`, `map(1..9000, decimal("1e6144") + #)`, `let d = decimal("0e6144"); map(1..9000, d - #)`, `let d = decimal("0e6144"); map(1..9000, toFixed(d, 20))`,
		`let d = decimal("0e6144"); map(1..9000, round(d))`, `let d = decimal("1e-6143"); map(1..9000, d * d)`, `let d = decimal("1e3000"); map(1..9000, d / 7)`, `let d = decimal("1e6144"); count(1..9000, d > #)`,
	)
	for _, src := range sources {
		p, problems := Compile(src, sc)
		if p == nil {
			t.Errorf("%s: %v", src, problems)
			continue
		}
		var used Usage
		env := &Env{Values: values, Usage: &used, Now: newEnv().Now, Seed: []byte("run")}
		const runs = 4
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := p.Eval(env); err != nil {
				t.Errorf("%s: %v", src, err)
				break
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
