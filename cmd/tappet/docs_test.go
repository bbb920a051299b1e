package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/sdk"
)

var updateDocs = flag.Bool("update", false, "write the generated parts of the documents anew")

func readDoc(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// fences gives the texts of a document's blocks of a language.
func fences(doc, lang string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+lang+"\n(.*?)^```$").FindAllStringSubmatch(doc, -1) {
		out = append(out, m[1])
	}
	return out
}

// docLimits reads the rows of limits.md: what stands in the code, the default,
// and the setting.
func docLimits(tb testing.TB) map[string][2]string {
	tb.Helper()
	rows := map[string][2]string{}
	for _, line := range strings.Split(readDoc(tb, "docs/limits.md"), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		if len(cells) != 4 || !strings.Contains(cells[3], "`") {
			continue
		}
		name := strings.Trim(cells[3], " `")
		if _, twice := rows[name]; twice {
			tb.Errorf("limits.md has two rows of %s", name)
		}
		rows[name] = [2]string{strings.TrimSpace(cells[1]), strings.Trim(cells[2], " `")}
	}
	return rows
}

func TestLimitsDocument(t *testing.T) {
	t.Parallel()
	code := codeLimits(t)
	rows := docLimits(t)
	for name := range code.fields {
		if _, ok := rows[name]; !ok {
			t.Errorf("limits.md has no row of %s, default %s", name, code.values[name])
		}
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	new(settings).flags(flags)
	used := map[string]bool{}
	for name, row := range rows {
		want, ok := quantity(row[0])
		if v := code.values[name]; v == nil {
			t.Errorf("limits.md: there is no %s, or its default can't be read", name)
		} else if ok && v.ExactString() != strconv.FormatInt(want, 10) {
			t.Errorf("limits.md: %s is %s, which means %d; the code has %s", name, row[0], want, v)
		}
		if row[1] == "fixed" {
			continue
		}
		f := flags.Lookup(strings.TrimPrefix(row[1], "--"))
		if f == nil {
			t.Errorf("limits.md: %s: there is no flag %q", name, row[1])
			continue
		}
		used[f.Name] = true
		def, err := strconv.ParseInt(f.DefValue, 10, 64)
		if d, e := time.ParseDuration(f.DefValue); err != nil && e == nil {
			def, err = int64(d), nil
		}
		if err != nil || def != want {
			t.Errorf("limits.md: %s is %s, the flag %s has %s", name, row[0], row[1], f.DefValue)
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "limits-") && !used[f.Name] {
			t.Errorf("limits.md doesn't have --%s", f.Name)
		}
	})
}

// The defaults of egress.md are those of the flags, which TestLimitsDocument
// compares with the code, and every flag of egress is there.
func TestEgressDocument(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	new(egressSettings).flags(flags)
	_, table, _ := strings.Cut(readDoc(t, "docs/egress.md"), "## Defaults")
	table, _, _ = strings.Cut(table, "\n## ")
	seen := map[string]bool{"egress-allow": true} // the guard's own
	rules := 0
	for _, line := range strings.Split(table, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 3 || !strings.HasPrefix(cells[2], "`--") {
			continue
		}
		want, isQuantity := quantity(cells[1])
		name := regexp.MustCompile("^[a-z0-9-]+").FindString(strings.TrimPrefix(cells[2], "`--"))
		f := flags.Lookup(name)
		switch {
		case name == "egress-allow":
			continue
		case f == nil:
			t.Errorf("egress.md: there is no flag %q", name)
			continue
		case name == "egress-host":
			rules++
			for limit, key := range map[string]string{"Concurrency": "concurrency", "Failures": "failures"} {
				if v := codeLimits(t).values["internal/egress/governor.Limits."+limit]; strings.Contains(cells[2], key) && v.ExactString() != strconv.FormatInt(want, 10) {
					t.Errorf("egress.md: %s is %s, the code has %s", cells[0], cells[1], v)
				}
			}
		case name == "egress-http2" || f.DefValue == "" || f.DefValue == "[]":
		case !isQuantity:
			if f.DefValue != cells[1] {
				t.Errorf("egress.md: %s is %s, the flag %s has %s", cells[0], cells[1], name, f.DefValue)
			}
		default:
			def, err := strconv.ParseInt(f.DefValue, 10, 64)
			if d, e := time.ParseDuration(f.DefValue); err != nil && e == nil {
				def, err = int64(d), nil
			}
			if err != nil || def != want {
				t.Errorf("egress.md: %s is %s, the flag %s has %s", cells[0], cells[1], name, f.DefValue)
			}
		}
		seen[name] = true
	}
	if rules != 3 {
		t.Errorf("egress.md has %d rows of --egress-host, want its concurrency, rate and failures", rules)
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if !seen[f.Name] {
			t.Errorf("egress.md doesn't have --%s", f.Name)
		}
	})
}

// quantity reads "1 MiB", "10 s", "1,000"; false for words.
func quantity(s string) (int64, bool) {
	number, unit, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(strings.ReplaceAll(number, ",", ""), 10, 64)
	factor, known := map[string]int64{
		"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "ms": int64(time.Millisecond), "s": int64(time.Second),
		"min": int64(time.Minute), "h": int64(time.Hour), "days": int64(24 * time.Hour),
	}[unit]
	return n * factor, err == nil && known
}

// inCode is what the sources say: the fields of every type Limits, and the
// values that fields get where they are 0, and constants have.
type inCode struct {
	fields map[string]bool
	values map[string]constant.Value
}

func codeLimits(tb testing.TB) inCode {
	tb.Helper()
	c := inCode{map[string]bool{}, map[string]constant.Value{}}
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel("../..", file)
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || rel == "bin" || d.Name() == "testdata") {
			return errOrSkip(err)
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.HasPrefix(rel, "api/client") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		c.file(path.Dir(filepath.ToSlash(rel)), f)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func errOrSkip(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}

// file reads one file of a package.
func (c inCode) file(pkg string, f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok && n.Name.Name == "Limits" {
				for _, field := range s.Fields.List {
					if sel, ok := field.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Limits" {
						continue // its own package's
					}
					for _, name := range field.Names {
						c.fields[pkg+".Limits."+name.Name] = true
					}
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if i < len(n.Values) {
					c.note(pkg+"."+name.Name, n.Values[i])
				}
			}
		case *ast.FuncDecl:
			c.defaults(pkg, n)
			return false
		}
		return true
	})
}

// defaults reads `l.Field = value` and `set(&l.Field, value)` in a function
// that works on a Limits or an Options.
func (c inCode) defaults(pkg string, f *ast.FuncDecl) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if len(n.Lhs) == 1 && len(n.Rhs) == 1 {
				c.field(pkg, n.Lhs[0], n.Rhs[0])
			}
		case *ast.CallExpr:
			if len(n.Args) == 2 {
				c.field(pkg, n.Args[0], n.Args[1])
			}
		}
		return true
	})
}

func (c inCode) field(pkg string, place, value ast.Expr) {
	if p, ok := place.(*ast.UnaryExpr); ok {
		place = p.X
	}
	sel, ok := place.(*ast.SelectorExpr)
	if !ok {
		return
	}
	of := "Limits"
	if x, ok := sel.X.(*ast.Ident); ok && x.Name == "o" {
		of = "Options"
	}
	c.note(pkg+"."+of+"."+sel.Sel.Name, value)
}

// note keeps the value of an expression of constants; of others, that there is
// one.
func (c inCode) note(name string, value ast.Expr) {
	if c.values[name] != nil && c.values[name].Kind() == constant.Int {
		return
	}
	if v := c.eval(path.Dir(name)+"/"+strings.SplitN(path.Base(name), ".", 2)[0], value); v != nil {
		c.values[name] = v
	} else if c.fields[name] || strings.Contains(name, ".Limits.") {
		c.values[name] = constant.MakeString("computed")
	}
}

func (c inCode) eval(pkg string, e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.ToInt(constant.MakeFromLiteral(e.Value, e.Kind, 0))
	case *ast.ParenExpr:
		return c.eval(pkg, e.X)
	case *ast.Ident:
		return c.values[strings.TrimPrefix(pkg, "./")+"."+e.Name]
	case *ast.SelectorExpr:
		units := map[string]time.Duration{
			"Nanosecond": 1, "Microsecond": time.Microsecond, "Millisecond": time.Millisecond,
			"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour,
		}
		if d, ok := units[e.Sel.Name]; ok {
			return constant.MakeInt64(int64(d))
		}
	case *ast.BinaryExpr:
		x, y := c.eval(pkg, e.X), c.eval(pkg, e.Y)
		if x == nil || y == nil || x.Kind() != constant.Int || y.Kind() != constant.Int {
			return nil
		}
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, token.SHL, uint(n))
		}
		if e.Op == token.MUL {
			return constant.BinaryOp(x, token.MUL, y)
		}
	}
	return nil
}

func TestProblemsDocument(t *testing.T) {
	t.Parallel()
	field, _ := reflect.TypeFor[api.Problem]().FieldByName("Type")
	want := strings.Split(field.Tag.Get("enum"), ",")
	doc := readDoc(t, "docs/problems.md")
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(/problems/[a-z_]+)` \\|").FindAllStringSubmatch(doc, -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the types of problems.md differ from the API's (-code +document):\n%s", diff)
	}
	var source strings.Builder
	for _, dir := range []string{"engine", "engine/graph", "engine/program", "engine/expr", "api"} {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				source.Write(b)
			}
		}
	}
	_, codes, found := strings.Cut(doc, "## Codes")
	codes, kinds, found2 := strings.Cut(codes, "## Errors of runs")
	if !found || !found2 {
		t.Fatal("problems.md has no section Codes, or none on the errors of runs")
	}
	for _, k := range sdk.Kinds() {
		if !strings.Contains(kinds, "`"+string(k)+"`") {
			t.Errorf("problems.md doesn't have the kind %s", k)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(codes, -1) {
		if !strings.Contains(source.String(), strconv.Quote(m[1])) {
			t.Errorf("problems.md has the code %s, the sources don't", m[1])
		}
	}
}

// mappingScope is what the examples of mapping.md and rules.md see: a webhook's event as
// its schema says, and an HTTP step that may be skipped.
func mappingScope(tb testing.TB) (*expr.Scope, []any) {
	tb.Helper()
	doc := readDoc(tb, "docs/mapping.md")
	event := fences(doc, "json event")
	if len(event) != 1 {
		tb.Fatal("mapping.md has no block json event")
	}
	r := newRegistry(nil)
	parse := func(schema json.RawMessage) *expr.Type {
		typ, err := expr.ParseSchema(schema)
		if err != nil {
			tb.Fatal(err)
		}
		return typ
	}
	scope := expr.NewScope(
		expr.Var{Name: "trigger", Type: parse(r.builtin["webhook"].Triggers[0].Event)},
		expr.Var{Name: "steps", Type: expr.ObjectOf([]expr.Prop{{Name: "person", Type: expr.Optional(parse(r.builtin["http"].Actions[0].Output))}}, nil)},
	)
	person := `{"person": {"status": 200, "headers": {}, "body": {"city": "Turin"}}}`
	return scope, []any{expr.NewRaw([]byte(event[0])), expr.NewRaw([]byte(person))}
}

func TestMappingDocument(t *testing.T) {
	t.Parallel()
	scope, values := mappingScope(t)
	env := &expr.Env{Values: values, Now: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)}
	n := 0
	for _, block := range fences(readDoc(t, "docs/mapping.md")+readDoc(t, "docs/rules.md"), "expr") {
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			src, want, isValue := strings.Cut(line, " → ")
			if !isValue {
				src, want, _ = strings.Cut(line, " ✗ ")
			}
			src, want = strings.TrimSpace(src), strings.TrimSpace(want)
			if want == "" {
				t.Errorf("%q shows neither → a value nor ✗ a problem", line)
				continue
			}
			n++
			if got := evaluate(src, scope, env); got != want {
				t.Errorf("%s\ngives %s\nshown %s", src, got, want)
			}
		}
	}
	if n < 60 {
		t.Errorf("mapping.md and rules.md have %d examples", n)
	}
}

// evaluate gives the JSON of an expression, or what is wrong with it. A text
// with braces in it is a template.
func evaluate(src string, scope *expr.Scope, env *expr.Env) string {
	if !strings.Contains(src, "${{") {
		src = "${{ " + src + " }}"
	}
	tpl, problems := expr.Text(src, scope)
	if len(problems) > 0 {
		p := problems[0]
		if p.Hint != "" {
			return p.Message + "; " + p.Hint
		}
		return p.Message
	}
	out, err := tpl.AppendJSON(nil, env)
	if err != nil {
		_, message, _ := strings.Cut(err.Error(), ": ")
		return message
	}
	return string(out)
}

const functionsHead = `# Functions

The functions of expressions ([mapping.md](mapping.md)), by group. Each example is a test. A parameter with a ? may be
left out, and … repeats the last one.

<!-- Written by: go test ./cmd/tappet -run TestFunctionsDocument -update -->
`

func TestFunctionsDocument(t *testing.T) {
	t.Parallel()
	const name = "docs/functions.md"
	want := functionsHead + functions()
	if *updateDocs {
		if err := os.WriteFile(filepath.Join("../..", name), []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, readDoc(t, name)); diff != "" {
		t.Errorf("%s isn't up to date (-update); (-code +document):\n%s", name, diff)
	}
}

// functions are the library as Markdown, by group.
func functions() string {
	groups := map[string][]expr.Function{}
	for _, f := range expr.Library() {
		groups[f.Group] = append(groups[f.Group], f)
	}
	var b strings.Builder
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		fmt.Fprintf(&b, "\n## %s%s\n", strings.ToUpper(group[:1]), group[1:])
		for _, f := range groups[group] {
			fmt.Fprintf(&b, "\n**`%s`** — %s\n", f.Signature, f.Doc)
			for _, x := range f.Examples {
				fmt.Fprintf(&b, "\n- %s → %s", code(x.Source), code(x.Result))
			}
			if len(f.Examples) > 0 {
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

// code is a code span of Markdown (CommonMark 6.1), on one line.
func code(s string) string {
	s = strings.ReplaceAll(s, "\n", " ")
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}
