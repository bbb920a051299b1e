package expr

import (
	"encoding/json"
	"fmt"
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	vm "github.com/expr-lang/expr"
)

// difference is an expression that expr-lang's VM and this package don't give
// the same for.
type difference struct {
	src, stock string
	stockFails bool
	// own is the value; code is that of a problem, err the message of an error.
	own, code, err string
}

// deliberate are the classes of differences, each with its reason and how many
// expressions of the corpus are of it. The first that a difference fits counts.
// Where both give a value, a class says what makes them the same.
var deliberate = []struct {
	name, reason string
	count        int // -1: it varies
	fits         func(d *difference) bool
}{
	{"$env and methods", "$env as a whole, and what Go's methods do, depend on the host and not on the names in scope", 11585, problemOf(CodeUnsupported)},
	{"unknown names", "a name that isn't in scope is refused, and isn't null", 3254, problemOf(CodeUnknownName)},
	{"unknown fields", "a field that a closed object lacks is refused, and isn't null", 829, problemOf(CodeUnknownField)},
	{"unknown functions", "a function is known when it is compiled, wherever it stands", 11, problemOf(CodeUnknownFunction)},
	{"duplicates", "a name is given once: a let that hides another, or a key twice, is a slip", 2477, problemOf(CodeDuplicate)},
	{"arguments", "too many arguments are refused, also where the VM never gets to", 209, problemOf(CodeArguments)},
	{"nullability", "a value that may be absent isn't used where one is needed", 184, problemOf(CodeMaybeNull)},
	{"types", "what can only fail, or can never be true, is refused", 129, problemOf(CodeType)},
	{"division by zero", "there is no infinity and no NaN", 112, errorOf(`division by zero|isn't a finite number`)},
	{"null in texts", "null is never the text <nil>", 9, errorOf(`null and would be part of a text`)},
	{"conditions", "a condition is true or false, also behind ??, on each side of an operator", 58, errorOf(`^expected true or false`)},
	{"kinds", "a value of another kind is an error that names both, where the VM gives null, or what Go gives", 497, errorOf(`^expected (a|an) |can't be indexed|has no field|can't be used between`)},
	{"order", "values of different kinds, booleans, lists and objects have no order", 84, errorOf(`can't be compared`)},
	{"bytes", "base64 that isn't text isn't taken as one", 8, errorOf(`stands for isn't text`)},
	{"names of kinds", "the kinds are JSON's: number, boolean, object", 792, alike(`\btype\b`, kindsOfJSON)},
	{"what is computed of kinds", "and so they have other lengths, parts and order", 68, valueOf(`\btype\b`)},
	{"groups", "the names of an object are texts, those that groupBy and fromPairs make, too", 701, func(d *difference) bool {
		return d.own != "" && (d.stock == noJSON || d.stockFails) && (strings.Contains(d.src, "groupBy") || strings.Contains(d.src, "fromPairs"))
	}},
	{"what is computed of groups", "and so their names are texts", -1, func(d *difference) bool {
		return d.own != "" && normalTexts(d.own) == normalTexts(d.stock) && (strings.Contains(d.src, "groupBy") || strings.Contains(d.src, "fromPairs"))
	}},
	{"spaces of JSON", "toJSON writes no spaces unless it is told to", 167, alike(`\btoJSON\b`, func(s string) string { return strings.NewReplacer(`\n`, "", " ", "").Replace(s) })},
	{"lengths of JSON", "and so its texts have other lengths, and other places", 14, valueOf(`\btoJSON\b`)},
	{"texts of lists and objects", "a list or an object as a text is JSON, and not what Go prints", 151, alike(`\b(string|join)\b`, func(s string) string {
		return regexp.MustCompile(`map\[|[][{}",: \\]`).ReplaceAllString(s, "")
	})},
	{"what is computed of such texts", "and so they have other lengths, parts and order", 18, valueOf(`\b(string|join)\b`)},
	{"zero", "there is no -0", 25, func(d *difference) bool { return d.own == strings.ReplaceAll(d.stock, "-0", "0") }},
	{"empty lists", "an empty list is [], and not null", 4, func(d *difference) bool { return d.own == "[]" && d.stock == "null" }},
	{"characters", "an item of a text is a character, and not a byte's number", 16, func(d *difference) bool {
		return d.own != "" && d.stock == oneCharacter.ReplaceAllStringFunc(d.own, func(s string) string { return strconv.Itoa(int(s[1])) })
	}},
	{"places of characters", "places and lengths in a text count characters, and not bytes", 0, func(d *difference) bool {
		return d.own != "" && !d.stockFails && strings.ContainsFunc(d.src, func(r rune) bool { return r >= utf8.RuneSelf })
	}},
	{"times", "now() is that of the run, and a duration is a text as JSON", 0, valueOf(`\b(now|duration|date)\b`)},
	{"the VM's stack", "findLast(true) in another value: the VM writes over what stands before it", 2, valueOf(`findLast(Index)?\(true\)`)},
	{"order of names", "the members of an object are sorted by name, and not in any order", -1, alike(`\b(keys|values|toPairs)\b`, sortedBytes)},
	{"mixed lists", "a list may hold values of several kinds, nulls among them", 2, func(d *difference) bool {
		return d.own != "" && d.stockFails && strings.Contains(d.stock, "predicate should")
	}},
}

// class is the deliberate one of a difference, "" for none.
func (d *difference) class() string {
	for _, c := range deliberate {
		if c.fits(d) {
			return c.name
		}
	}
	return ""
}

// alike is for expressions of a pattern whose values are the same once both are
// normalized.
func alike(pattern string, normal func(string) string) func(*difference) bool {
	of := valueOf(pattern)
	return func(d *difference) bool { return of(d) && normal(d.own) == normal(d.stock) }
}

func kindsOfJSON(s string) string {
	return strings.NewReplacer(`"int"`, `"number"`, `"float"`, `"number"`, `"map"`, `"object"`, `"array"`, `"list"`, `"bool"`, `"boolean"`, `"nil"`, `"null"`).Replace(s)
}

// normalTexts makes nothing of the difference of a text and a value in a list,
// and of its order.
func normalTexts(s string) string { return sortedBytes(strings.ReplaceAll(s, `"`, "")) }

func sortedBytes(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

// named is an expression of the corpus in which $env.x, or $env["x"], is x.
func named(src string) string { return envName.ReplaceAllString(src, "$1$2") }

var (
	oneCharacter = regexp.MustCompile(`"[ -~]"`)
	envName      = regexp.MustCompile(`\$env\??\.\[?"?(ok|i|str|f64|array|foo|list)\b"?\]?|\$env\["(ok|i|str|f64|array|foo|list)"\]`)
)

const noJSON = "a value without JSON"

func problemOf(code string) func(*difference) bool {
	return func(d *difference) bool { return d.code == code }
}

func errorOf(pattern string) func(*difference) bool {
	re := regexp.MustCompile(pattern)
	return func(d *difference) bool { return d.err != "" && re.MatchString(d.err) }
}

func valueOf(pattern string) func(*difference) bool {
	re := regexp.MustCompile(pattern)
	return func(d *difference) bool { return d.own != "" && !d.stockFails && re.MatchString(d.src) }
}

func corpusValues() map[string]any {
	return map[string]any{
		"ok": true, "i": 1, "str": "str", "f64": .5, "array": []any{1, 2, 3, 4, 5}, "foo": map[string]any{"Bar": "foo"},
		"list": []any{map[string]any{"Bar": "bar"}, map[string]any{"Bar": "baz"}},
	}
}

func corpusScope() (*Scope, *Env) {
	values := corpusValues()
	sc, env := &Scope{}, &Env{}
	for _, n := range sortedNames(values) {
		sc.vars = append(sc.vars, Var{Name: n})
		env.Values = append(env.Values, values[n])
	}
	return sc, env
}

// expr-lang's own corpus of generated expressions: what its VM gives, we give,
// but for the differences of the classes above.
func TestCorpus(t *testing.T) {
	t.Parallel()
	pkg, err := build.Import("github.com/expr-lang/expr", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	corpus, err := os.ReadFile(filepath.Join(pkg.Dir, "testdata", "generated.txt"))
	if err != nil {
		t.Skipf("the module is here without its corpus: %v", err)
	}
	sc, env := corpusScope()
	counts := map[string]int{}
	same, unlisted := 0, 0
	for i, src := range strings.Split(strings.TrimSpace(string(corpus)), "\n") {
		if testing.Short() && i%10 != 0 {
			continue
		}
		d := compareWithStock(named(src), sc, env)
		if d == nil {
			same++
			continue
		}
		class := d.class()
		if class == "" {
			if unlisted++; unlisted <= 20 {
				t.Errorf("%s: the VM gives %s, we give %s%s%s", src, d.stock, d.own, d.code, d.err)
			}
			continue
		}
		counts[class]++
	}
	if unlisted > 20 {
		t.Errorf("and %d more", unlisted-20)
	}
	t.Logf("%d are the same", same)
	for _, c := range deliberate {
		t.Logf("%d: %s: %s", counts[c.name], c.name, c.reason)
		if counts[c.name] != c.count && c.count >= 0 && !testing.Short() {
			t.Errorf("%d expressions are of the class %q, want %d", counts[c.name], c.name, c.count)
		}
	}
}

// compareWithStock gives nil when both give the same value, or both fail.
func compareWithStock(src string, sc *Scope, env *Env) *difference {
	d := &difference{src: src}
	d.stock, d.stockFails = stockValue(src)
	e, problems := Expr(src, sc)
	if e == nil && problems[0].Code == CodeAlwaysFails {
		d.err = problems[0].Message // the error, told before
	} else if e == nil {
		d.code = problems[0].Code
	} else if out, err := e.AppendJSON(nil, env); err != nil {
		_, d.err, _ = strings.Cut(err.Error(), " ")
	} else {
		d.own = normalized(json.RawMessage(out))
	}
	if d.stockFails && d.own == "" || !d.stockFails && d.own == d.stock {
		return nil
	}
	return d
}

func stockValue(src string) (value string, fails bool) {
	defer func() {
		if r := recover(); r != nil {
			value, fails = fmt.Sprint("panic: ", r), true
		}
	}()
	p, err := vm.Compile(src)
	if err != nil {
		return err.Error(), true
	}
	v, err := vm.Run(p, corpusValues())
	if err != nil {
		return err.Error(), true
	}
	return normalized(v), false
}

func normalized(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return noJSON
	}
	var x any
	if err := json.Unmarshal(b, &x); err != nil {
		return noJSON
	}
	b, _ = json.Marshal(x)
	return string(b)
}

// FuzzOracle: what has a value here, and little work, has the same one with
// expr-lang's VM, but for the differences of the classes.
func FuzzOracle(f *testing.F) {
	addExpressions(f)
	for _, src := range []string{
		`map(list, .Bar)`, `array | filter(# > 2) | sum()`, `foo.Bar + str`, `i < f64 ? ok : not ok`, `toJSON(foo)`, `let x = i; x + x`, `str[0:2]`, `reduce(array, #acc + #)`,
		`list[0]?.Bar ?? 1`, `sortBy(list, .Bar, "desc")`, `[i, f64, str]`, `{a: array}`, `array[-1]`, `i in array`, `str matches "^s"`, `1..3 | map(# ** 2)`, `keys(foo)`, `type(i)`,
	} {
		f.Add(src)
	}
	sc, env := corpusScope()
	env.Limits = Limits{Steps: 20_000, Bytes: 1 << 20}
	f.Fuzz(func(t *testing.T, src string) {
		e, _ := Expr(src, sc)
		if e == nil || strings.Contains(src, "${{") {
			return
		}
		if _, err := e.AppendJSON(nil, env); err != nil {
			return // the VM has no budget: what fails here isn't tried there
		}
		d := compareWithStock(src, sc, env)
		// What the VM refuses has no value there: it knows fewer functions, and null
		// has no members.
		if d != nil && !d.stockFails && d.class() == "" {
			t.Fatalf("%q: the VM gives %s, we give %s%s%s", src, d.stock, d.own, d.code, d.err)
		}
	})
}
