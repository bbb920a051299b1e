package expr

import (
	"encoding/json"
	"fmt"
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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

// deliberate are the classes of differences, each with its reason. The first
// that a difference fits counts.
var deliberate = []struct {
	name, reason string
	fits         func(d *difference) bool
}{
	{"$env and methods", "$env, and what Go's methods do, depend on the host and not on the names in scope", problemOf(CodeUnsupported)},
	{"unknown names", "a name that isn't in scope is refused, and isn't null", problemOf(CodeUnknownName)},
	{"unknown fields", "a field that a closed object lacks is refused, and isn't null", problemOf(CodeUnknownField)},
	{"unknown functions", "a function is known when it is compiled, wherever it stands", problemOf(CodeUnknownFunction)},
	{"duplicates", "a name is given once: a let that hides another, or a key twice, is a slip", problemOf(CodeDuplicate)},
	{"arguments", "too many arguments are refused, also where the VM never gets to", problemOf(CodeArguments)},
	{"nullability", "a value that may be absent isn't used where one is needed", problemOf(CodeMaybeNull)},
	{"types", "what can only fail, or can never be true, is refused", problemOf(CodeType)},
	{"division by zero", "there is no infinity and no NaN", errorOf(`division by zero|isn't a finite number`)},
	{"null in texts", "null is never the text <nil>", errorOf(`null and would be part of a text`)},
	{"conditions", "a condition is true or false, also behind ??, on each side of an operator", errorOf(`^expected true or false`)},
	{"kinds", "a value of another kind is an error that names both, where the VM gives null, or what Go gives", errorOf(`^expected (a|an) |can't be indexed|has no field`)},
	{"order", "values of different kinds, booleans, lists and objects have no order", errorOf(`can't be compared`)},
	{"bytes", "base64 that isn't text isn't taken as one", errorOf(`stands for isn't text`)},
	{"names of kinds", "the kinds are JSON's: number, boolean, object", valueOf(`\btype\b`)},
	{"groups", "the names of an object are texts, those that groupBy and fromPairs make, too", func(d *difference) bool {
		return d.own != "" && (strings.Contains(d.src, "groupBy") || strings.Contains(d.src, "fromPairs"))
	}},
	{"spaces of JSON", "toJSON writes no spaces unless it is told to", valueOf(`\btoJSON\b`)},
	{"texts of lists and objects", "a list or an object as a text is JSON, and not what Go prints", valueOf(`\b(string|join)\b`)},
	{"zero", "there is no -0", func(d *difference) bool { return d.own == strings.ReplaceAll(d.stock, "-0", "0") }},
	{"empty lists", "an empty list is [], and not null", func(d *difference) bool { return d.own == "[]" && d.stock == "null" }},
	{"characters", "an item of a text is a character, and not a byte's number", valueOf(`^(first|last|get)\(.*str`)},
	{"the VM's stack", "findLast(true) in another value: the VM writes over what stands before it", valueOf(`findLast(Index)?\(true\)`)},
	{"order of names", "the members of an object are sorted by name, and not in any order", valueOf(`\b(keys|values|toPairs)\b`)},
	{"mixed lists", "a list may hold values of several kinds, nulls among them", func(d *difference) bool {
		return d.own != "" && d.stockFails && strings.Contains(d.stock, "predicate should")
	}},
}

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
	values := corpusValues()
	sc, env := &Scope{}, &Env{}
	for _, n := range sortedNames(values) {
		sc.vars = append(sc.vars, Var{Name: n})
		env.Values = append(env.Values, values[n])
	}
	counts := map[string]int{}
	same, unlisted := 0, 0
	for i, src := range strings.Split(strings.TrimSpace(string(corpus)), "\n") {
		if testing.Short() && i%10 != 0 {
			continue
		}
		d := compareWithStock(src, sc, env)
		if d == nil {
			same++
			continue
		}
		class := ""
		for _, c := range deliberate {
			if c.fits(d) {
				class = c.name
				break
			}
		}
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
		if counts[c.name] == 0 && !testing.Short() && c.name != "order of names" { // which may be the same by chance
			t.Errorf("no expression is of the class %q", c.name)
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
		return "a value without JSON"
	}
	var x any
	if err := json.Unmarshal(b, &x); err != nil {
		return "a value without JSON"
	}
	b, _ = json.Marshal(x)
	return string(b)
}
