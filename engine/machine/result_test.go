package machine_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// mustExpr compiles an expression about a result.
func mustExpr(t *testing.T, src string) *expr.Template {
	t.Helper()
	tpl, problems := expr.Expr(src, expr.NewScope(
		expr.Var{Name: "trigger", Type: expr.Any()}, expr.Var{Name: "steps", Type: expr.Any()}, expr.Var{Name: "step", Type: expr.Any(), Call: true},
		expr.Var{Name: "run", Type: expr.Any()}, expr.Var{Name: "graph", Type: expr.Any()},
		expr.Var{Name: "error", Type: expr.Any()},
		expr.Var{Name: "output", Type: expr.Any()}, expr.Var{Name: "page", Type: expr.Int()},
	))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return tpl
}

// sceneOf starts a run whose step b says of its results what an expression
// says, beside a step c that settles meanwhile.
func sceneOf(t *testing.T, src string) (*machine.Machine, *machine.Effect) {
	t.Helper()
	p := mustProgram(t, "step a set ${{ trigger.n }}\nstep b use x.y\nstep c use x.z\n  after -\n")
	p.ByID["b"].Success = &program.Success{When: mustExpr(t, src), Source: src}
	m := machine.New(p, machine.Run{ID: "r1", Version: 3, Attempt: 1})
	var b *machine.Effect
	for _, c := range m.Apply(machine.Fact{At: 5000, Of: &machine.Accepted{Event: json.RawMessage(`{"n":7}`)}}) {
		if e, ok := c.(*machine.Effect); ok && e.Step == "b" {
			b = e
		}
	}
	if b == nil {
		t.Fatal("b isn't sent")
	}
	return m, b
}

// What a step says of its results sees the run as `with` saw it, whatever has
// happened since, and gives the same however often and by whomever it is asked.
func TestResultSeesWhatWithSaw(t *testing.T) {
	t.Parallel()
	m, b := sceneOf(t, `output.n == trigger.n && steps.a == 7 && steps.c == null && string(now()) == "1970-01-01T00:00:05Z" && run.id == "r1" && graph.version == 3 && page == 2`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r := b.Scene.Result()
			for range 50 {
				r.See(json.RawMessage(`{"n":7}`), 2)
				if holds, says, err := r.Success(); !holds || !says || err != nil {
					t.Error(holds, says, err)
					return
				}
			}
		})
	}
	// The machine goes on while they look.
	m.Apply(machine.Fact{Key: "c", At: 9000, Of: &machine.Settled{Output: json.RawMessage(`1`)}})
	wg.Wait()
}

// Ids are of the place and the page: the same when an attempt is repeated.
func TestResultIdsAreOfThePage(t *testing.T) {
	t.Parallel()
	p := mustProgram(t, "step a use x.y\n")
	p.ByID["a"].Paginate = &program.Paginate{Way: program.PageValue, Next: mustExpr(t, "uuid()")}
	e := mustEffect(t, p)
	ids := map[string]int{}
	for range 2 {
		r := e.Scene.Result()
		for page := 1; page <= 3; page++ {
			r.See(json.RawMessage(`{}`), page)
			id, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			ids[string(id)]++
		}
	}
	if len(ids) != 3 {
		t.Errorf("three pages, asked for twice, have the ids %v", ids)
	}
}

// In on_failure what a step says of its results sees why the run failed.
func TestResultSeesTheError(t *testing.T) {
	t.Parallel()
	p := mustProgram(t, "step a use x.y\nfailure\nstep b use x.y\n")
	p.ByID["b"].Success = &program.Success{When: mustExpr(t, `error.kind == "refused" && error.step == "a" && output.n == 1`)}
	m := machine.New(p, machine.Run{ID: "r1"})
	m.Apply(machine.Fact{Of: &machine.Accepted{}})
	m.Apply(machine.Fact{Key: "a", Of: &machine.Settled{Err: &machine.Error{Kind: "refused"}}})
	e := m.Effect("!failure/b")
	if e == nil {
		t.Fatalf("b isn't sent:\n%s", m.Dump())
	}
	r := e.Scene.Result()
	r.See(json.RawMessage(`{"n":1}`), 1)
	if holds, says, err := r.Success(); !holds || !says || err != nil {
		t.Error(holds, says, err)
	}
}

func TestAStepThatSaysNothingOfItsResultsHasNoScene(t *testing.T) {
	t.Parallel()
	if e := mustEffect(t, mustProgram(t, "step a use x.y\n")); e.Scene != nil || e.Scene.Result() != nil {
		t.Errorf("%+v", e.Scene)
	}
}

// mustEffect begins a run whose first command is an effect.
func mustEffect(t *testing.T, p *program.Program) *machine.Effect {
	t.Helper()
	e, ok := machine.New(p, machine.Run{ID: "r1"}).Apply(machine.Fact{Of: &machine.Accepted{}})[0].(*machine.Effect)
	if !ok {
		t.Fatal("no effect")
	}
	return e
}
