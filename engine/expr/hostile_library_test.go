package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Calls made to take time or memory, several for each group of the library and
// each limit: each ends within its budget, by its value or by an error. What it
// took is counted, in steps and bytes, and not in seconds.
func TestHostileCallsStayWithinTheirBudget(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("aB ", 30_000)
	deep := strings.Repeat("<a>", 5_000) + strings.Repeat("</a>", 5_000)
	wide := NewRaw([]byte(`{` + strings.Repeat(`"key":{"a":[1,2,{"b":null}]},`, 20_000) + `"z":1}`))
	sc := NewScope(Var{Name: "long", Type: StringType()}, Var{Name: "deep", Type: StringType()}, Var{Name: "wide"})
	values := []any{long, deep, wide}
	grow := func(s string, n int) string { // let chains, each twice the one before
		var b strings.Builder
		b.WriteString("let v0 = " + s + "; ")
		for i := range n {
			fmt.Fprintf(&b, "let v%d = v%d + v%d; ", i+1, i, i)
		}
		return b.String() + fmt.Sprintf("v%d", n)
	}
	for class, sources := range map[string][]string{
		"text": {
			`map(1..1000, camelCase(long))`, `map(1..1000, slug(long))`, `map(1..1000, words(long))`, `map(1..1000, titleCase(long))`, `map(1..1000, removeAccents(long))`,
			`map(1..1000, escapeHtml(repeat("<", 90000)))`, `map(1..1000, stripHtml(repeat("<b>", 30000)))`, `map(1..1000, characters(long))`,
			`map(1..1000, occurrences(long, "a"))`, `mask(long, -1, "🙂")`, `map(1..10000, mask(long, 3))`, `between(long, "B", "B")`, `map(1..1000, normalizeSpace(long))`,
			grow(`"text"`, 40) + ` | upper()`, `truncate(long, 9007199254740991, "…")`, `padEnd("a", 9007199254740991)`, `replace(long, "", long)`,
		},
		"regular expressions": {
			`map(1..100, matchAll(long, "(a)|(B)|( )"))`, `replaceRegexp(long, "a", long)`, `replaceRegexp(long, "", "$0$0$0$0")`, `splitRegexp(long, "")`,
			`matchGroups(long, "(?P<a>(a|B| )*)*")`, `map(1..1000, match(long, "(a*)*(B*)*c"))`, `map(1..1000, escapeRegexp(repeat(".", 90000)))`,
			`matchAll(long, repeat("(", 300) + repeat(")", 300))`, `match(long, repeat("a?", 400) + repeat("a", 400))`, `match(long, "((((a{9}){9}){9}){9}){9}")`,
		},
		"numbers": {
			`reduce(1..100000, #acc * 3, decimal(1))`, `reduce(1..100000, #acc / 3, decimal(1))`, `map(1..100000, toFixed(#, 20))`, `map(1..100000, divide(#, 7, 20))`,
			`decimal("9e6144") * decimal("9e6144")`, `toFixed(decimal("9e6000"), 2)`, `formatNumber(decimal("9e6000"))`, `int(decimal("9e6000"))`, `decimal(repeat("9", 100000))`,
			`parseNumber(repeat("1,000", 50000))`, `9223372036854775807 * 2`, `2 ** 9007199254740991`, `decimal("1e6144") + decimal("1e-6143")`, `round(decimal("9e6144"), 20)`,
			`let d = decimal("1e6144"); let f = decimal("1e-6100"); reduce(1..100000, d - f, d)`, `let d = decimal("1e6144"); let f = decimal("1e-6100"); reduce(1..100000, f + d, d)`, `let d = decimal("1e6144"); map(1..100000, -d)`,
			`map(1..100000, decimal("1e6144") + #)`, `let d = decimal("0e6144"); map(1..100000, toFixed(d, 20))`, `let d = decimal("0e6144"); map(1..100000, int(d))`, `let d = decimal("0e6144"); sum(map(1..100000, # % 2 == 0 ? d : decimal("1e-6143")))`,
		},
		"lists": {
			`range(0, 9007199254740991)`, `range(0, 9223372036854775807, 9223372036854775807)`, `1..9007199254740991`, `union(1..100000, 1..100000)`, `difference(1..50000, 1..50000)`,
			`intersection(1..50000, map(1..50000, [#]))`, `sliding(1..100000, 50000)`, `transpose(map(1..1000, 1..1000))`, `includesAll(1..50000, 1..50000)`, `chunk(1..1000000, 1)`,
			`maxBy(map(1..100000, {{n: #}}), "n")`, `countBy(map(1..100000, {{n: #}}), "n")`, `uniqBy(map(1..100000, {{n: repeat("n", 1000) + string(#)}}), "n")`,
			`map(1..1000, map(1..1000, map(1..1000, #)))`, `sort(map(1..200000, -#))`, `zipObject(1..200000, 1..200000)`, `flatten(map(1..1000, 1..1000))`, `uniq(map(1..20000, {{a: #}}))`,
		},
		"objects": {
			`map(1..1000, keys(wide))`, `map(1..1000, mergeDeep(wide, wide))`, `map(1..1000, flattenObject(wide))`, `unflattenObject({(repeat(".", 1000)): 1})`, `unflattenObject(fromPairs(map(1..100000, [string(#) + ".a", 1])))`,
			`map(1..100000, getPath(wide, repeat("a.", 1000)))`, `invert(fromPairs(map(1..100000, [string(#), #])))`, `rename(wide, {key: repeat("k", 2000)})`, `map(1..1000, wide == wide)`,
			`map(1..1000, withoutNulls(wide))`, `map(1..1000, defaults(wide, wide))`, `map(1..1000, fingerprint(wide))`, `map(1..1000, toJSON(wide, 8))`, `map(1..1000, isEmpty(wide))`,
		},
		"times": {
			`map(1..100000, inZone(now(), "Europe/Berlin"))`, `map(1..100000, date("2026-11-30", "2006-01-02", "Asia/Tokyo"))`, `addDays(now(), 9007199254740991)`, `addMonths(now(), 4000000)`, `addYears(now(), -300000)`,
			`addBusinessDays(now(), 4000000)`, `map(1..100000, addBusinessDays(now(), #))`, `fromUnixMillis(9223372036854775807)`, `formatDate(now(), repeat("Monday", 10000))`, `duration("999999999h")`,
			`duration("P99999999999999999D")`, `duration(repeat("1h", 10000))`, `duration("2562047h") * 9007199254740991`, `dateOf(9999, 12, 31) + duration("48h")`, `isDate(long)`, `date(long)`, `inZone(now(), long)`, `endOf(dateOf(9999, 12, 31), "year")`,
			`fromUnix(9223372036854775807)`, `startOf(dateOf(0, 1, 1), "week")`,
		},
		"encodings": {
			`map(1..1000, toHex(long))`, `map(1..1000, toBase64(long))`, `map(1..1000, toBase32(long))`, `fromHex(long)`, `map(1..1000, fromBase64(repeat("YWFh", 10000)))`, `map(1..1000, urlEncode(long))`,
			`jwtPayload(repeat(".", 100000))`, grow(`"a"`, 30) + ` | toHex()`,
		},
		"urls": {
			`parseUrl(long)`, `parseUrl("https://a/?" + repeat("a&", 40000))`, `map(1..1000, parseQuery(repeat("a=1&", 10000)))`, `formatQuery(wide)`, `withQuery("https://a/", zipObject(1..20000, 1..20000))`, `map(1..10000, resolveUrl("https://a/", repeat("../", 10000)))`,
		},
		"hashes": {`map(1..100000, sha512(long))`, `map(1..100000, hmacSha256(long, long))`, `map(1..100000, md5("a"))`, `map(1..100000, crc32(long))`},
		"formats": {
			`parseXml(deep)`, `parseXml("<!DOCTYPE a [<!ENTITY b \"" + repeat("x", 10000) + "\">]><a>" + repeat("&b;", 10000) + "</a>")`, `map(1..100, parseXml("<a " + join(map(1..5000, "a" + string(#) + "='1'"), " ") + "/>"))`,
			`parseXml(repeat("<a/>", 50000))`, `parseXml("<a>" + repeat("<b/>", 50000) + "</a>")`, `map(1..100, parseCsv("a\n" + repeat("b\n", 50000)))`, `parseCsvRows(repeat(",", 900000))`, `parseCsvRows(repeat("\"", 99999))`,
			`formatCsv(map(1..10000, [long]))`, `formatCsv(map(1..100000, {{a: #}}))`, `fromJSON(repeat("[", 100000))`, `fromJSON(repeat("[", 150) + repeat("]", 150)) | toJSON(8)`, `map(1..1000, isJson(toJSON(wide)))`, `map(1..100, fromJSON(toJSON(wide)).key.a)`,
		},
		"ids": {`map(1..100000, uuid())`, `map(1..100000, shortId(64))`, `map(1..100000, ulid())`, `uuid5("dns", repeat(long, 50))`, `map(1..100000, uuid5("url", long))`},
		"language": {
			grow(`"a"`, 50), grow(`[1]`, 1), `map(1..100000, {let a = #; let b = a * a; [a, b]})`, `reduce(1..100000, #acc + string(#), "")`, `reduce(1..30, [#acc, #acc], 1) | toJSON()`, `reduce(1..30, {{a: #acc, b: #acc}}, 1) == 1`,
			`reduce(1..1000, [#acc], 1) | toJSON()`, `reduce(1..40, concat(#acc, #acc), [1])`, `reduce(1..1000, [#acc], 1) == reduce(1..1000, [#acc], 1)`, `sortBy(1..100000, -#)`, `groupBy(1..100000, #)`, `count(1..1000, count(1..1000, # > 1) > 1)`, `long matches long[0:9]`,
		},
	} {
		for _, src := range sources {
			e, problems := Expr(src, sc)
			if e == nil {
				if strings.Contains(problems[0].Message, "internal") || problems[0].Code == CodeSyntax {
					t.Errorf("%s: %.100s: %v", class, src, problems)
				}
				continue
			}
			var used Usage
			env := &Env{Values: values, Now: newEnv().Now, Seed: []byte("run"), Usage: &used}
			out, err := e.AppendJSON(nil, env)
			var x *Error
			if err != nil && (!errors.As(err, &x) || strings.Contains(x.Message, "internal")) {
				t.Errorf("%s: %.100s: %v", class, src, err)
			}
			most := (Limits{}).Budget()
			if used.Steps > most.Steps || used.Bytes > most.Bytes || used.Copies > most.Copies || len(out) > most.Bytes+most.Copies {
				t.Errorf("%s: %.100s: took %+v, and gave %d bytes", class, src, used, len(out))
			}
		}
	}
}
