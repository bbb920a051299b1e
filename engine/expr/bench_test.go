package expr

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	vmexpr "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// taskEvent is an event of about 300 bytes, and pad bytes more that no mapping
// reads.
func taskEvent(pad int) []byte {
	var p strings.Builder
	for i := 0; p.Len() < pad; i++ {
		if i > 0 {
			p.WriteByte(',')
		}
		fmt.Fprintf(&p, `{"id":%d,"name":"item number %d","ok":true,"price":%d.5}`, i, i, i)
	}
	return fmt.Appendf(nil, `{"body":{"event":"task.completed","custom":[%s],"task":{"id":1234567,"title":"Write the report",`+
		`"assignee":{"name":"Ada","email":"Ada.L@Example.com"},"tags":["a","b","c"],"due":"2026-11-30"},"tags":["x","y"],"project":{"id":42,"name":"Apollo"}}}`, p.String())
}

func taskScope(t testing.TB) *Scope {
	t.Helper()
	return NewScope(Var{Name: "trigger", Type: mustSchema(t, `{"properties":{"body":{"required":["task","tags","custom"],"properties":{
		"custom":{"items":{"required":["id","price"],"properties":{"id":{"type":"integer"},"price":{"type":"number"}}}},
		"tags":{"items":{"type":"string"}},
		"task":{"required":["title","assignee","tags"],"properties":{"title":{"type":"string"},"tags":{"items":{"type":"string"}},
			"assignee":{"required":["name","email"],"properties":{"name":{"type":"string"},"email":{"type":"string"}}}}}}}},"required":["body"]}`)})
}

// fourFields are the mapped fields of the first workload.
var fourFields = []string{
	`${{ trigger.body.task.title }}`,
	`${{ lower(trigger.body.task.assignee.email) }}`,
	`T:${{ trigger.body.task.title }} by ${{ trigger.body.task.assignee.name }}`,
	`${{ len(trigger.body.tags) }}`,
}

func fourTemplates(t testing.TB) []*Template {
	t.Helper()
	sc := taskScope(t)
	var out []*Template
	for _, s := range fourFields {
		tm, problems := Text(s, sc)
		if tm == nil {
			t.Fatal(problems)
		}
		out = append(out, tm)
	}
	return out
}

func taskMap(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(taskEvent(0), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func BenchmarkFourFields(b *testing.B) {
	b.Run("own", func(b *testing.B) {
		four := fourTemplates(b)
		env := &Env{Values: []any{taskMap(b)}}
		b.ReportAllocs()
		for b.Loop() {
			for _, tm := range four {
				if _, err := tm.Eval(env); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("stock", func(b *testing.B) {
		four := stockFourFields(b)
		b.ReportAllocs()
		for b.Loop() {
			four()
		}
	})
}

// stockFourFields gives what runs the four fields on the stock VM.
func stockFourFields(t testing.TB) func() {
	t.Helper()
	env := map[string]any{"trigger": taskMap(t)}
	var programs []*vm.Program
	for _, s := range []string{
		`trigger.body.task.title`, `lower(trigger.body.task.assignee.email)`,
		`"T:" + trigger.body.task.title + " by " + trigger.body.task.assignee.name`, `len(trigger.body.tags)`,
	} {
		p, err := vmexpr.Compile(s, vmexpr.Env(env))
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, p)
	}
	m := &vm.VM{}
	return func() {
		for _, p := range programs {
			if _, err := m.Run(p, env); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func BenchmarkLoop(b *testing.B) {
	src := `sum(map(filter(trigger.body.custom, .id % 2 == 0), .id * 2))`
	var m map[string]any
	if err := json.Unmarshal(taskEvent(60_000), &m); err != nil {
		b.Fatal(err)
	}
	items := m["body"].(map[string]any)["custom"].([]any)[:1000]
	for _, it := range items {
		x := it.(map[string]any)
		x["id"] = int(x["id"].(float64))
	}
	m["body"].(map[string]any)["custom"] = items
	b.Run("own", func(b *testing.B) {
		p, problems := Compile(src, taskScope(b))
		if p == nil {
			b.Fatal(problems)
		}
		env := &Env{Values: []any{m}}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Eval(env); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stock", func(b *testing.B) {
		env := map[string]any{"trigger": m}
		p, err := vmexpr.Compile(src, vmexpr.Env(env))
		if err != nil {
			b.Fatal(err)
		}
		vm := &vm.VM{}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := vm.Run(p, env); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	sc := manySteps()
	for name, src := range map[string]string{
		"path": `steps.step31.body.field150`,
		"call": manyFields,
		"typo": `steps.step31.body.feild150`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Compile(src, sc)
			}
		})
	}
	b.Run("call of stock", func(b *testing.B) {
		compile := stockCompile(b)
		b.ReportAllocs()
		for b.Loop() {
			compile()
		}
	})
}

// manyFields is an expression in the scope of manySteps.
const manyFields = `lower(steps.step31.body.field150) + "x"`

// stockCompile gives what compiles manyFields with the stock compiler, in
// expr-lang's form of the same types.
func stockCompile(t testing.TB) func() {
	t.Helper()
	fields := types.Map{}
	for i := range 200 {
		fields[fmt.Sprintf("field%03d", i)] = types.String
	}
	steps := types.Map{}
	for i := range 50 {
		steps[fmt.Sprintf("step%02d", i)] = types.Map{"body": fields}
	}
	env := types.Map{"steps": steps}
	return func() {
		if _, err := vmexpr.Compile(manyFields, vmexpr.Env(env)); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkEvent is what a run costs its mapping: an event's bytes come in, a
// `with` of four fields and a subtree goes out as JSON.
func BenchmarkEvent(b *testing.B) {
	with := []Member{{"task", nil}}
	tm, problems := Text(`${{ trigger.body.task }}`, taskScope(b))
	if tm == nil {
		b.Fatal(problems)
	}
	with[0].Value = tm
	for i, tm := range fourTemplates(b) {
		with = append(with, Member{fmt.Sprint("f", i), tm})
	}
	tree := Object(with)
	for _, pad := range []int{0, 10_000, 1_000_000} {
		doc := taskEvent(pad)
		run := func(name string, decode func() any) {
			b.Run(fmt.Sprintf("%s/%dB", name, len(doc)), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(doc)))
				var out []byte
				for b.Loop() {
					var err error
					if out, err = tree.AppendJSON(out[:0], &Env{Values: []any{decode()}}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("raw", func() any { return NewRaw(doc) })
		run("checked", func() any {
			if err := CheckJSON(doc, 0); err != nil {
				b.Fatal(err)
			}
			return NewRaw(doc)
		})
		run("stdlib", func() any {
			var v any
			if err := json.Unmarshal(doc, &v); err != nil {
				b.Fatal(err)
			}
			return v
		})
	}
}

func BenchmarkCheckJSON(b *testing.B) {
	doc := taskEvent(1_000_000)
	b.Run("own", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			if err := CheckJSON(doc, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			PlainJSON(doc)
		}
	})
	b.Run("stdlib", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			if !json.Valid(doc) {
				b.Fatal("invalid")
			}
		}
	})
}
