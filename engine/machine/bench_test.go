package machine_test

import (
	"encoding/json"
	"testing"

	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

const event = `{"event":"task.completed","task":{"id":4711,"title":"Write the report","tags":["a","b"],` +
	`"assignee":{"name":"Ada","email":"Ada@Example.com"},"due":"2026-12-01"},"actor":{"id":1,"name":"Bob"}}`

const w1 = `timeout 720h
step entry use http.post
  if trigger.event == "task.completed"
  retry attempts=5 initial=1s multiplier=2 max=5m jitter=0.1
  timeout 30s
  with url = https://forms.example.com/entries
  with headers = {"X-Source":"tappet"}
  with title = Task ${{ trigger.task.title }} is done
  with tags = ${{ trigger.task.tags }}
  with due = ${{ trigger.task.due ?? null }}
  with mail = ${{ lower(trigger.task.assignee.email) }}
`

// drive answers every effect in the order sent, and gives the facts.
func drive(p *program.Program, doc json.RawMessage, keep bool) (facts []machine.Fact, end machine.Command) {
	m := machine.New(p, machine.Run{ID: "0193e0a4-7d5b-7c3a-9f3e-5a1b2c3d4e5f", Version: 1, Attempt: 1})
	f := machine.Fact{At: 1, Of: &machine.Accepted{Event: doc}}
	settled := &machine.Settled{Output: json.RawMessage(`{"status":200}`)}
	for {
		cs := m.Apply(f)
		if keep {
			facts = append(facts, f)
		}
		if len(cs) == 0 {
			return facts, nil
		}
		last := cs[len(cs)-1]
		e, ok := last.(*machine.Effect)
		if !ok {
			return facts, last
		}
		f = machine.Fact{At: f.At + 1, Key: e.Key, Of: settled}
	}
}

func BenchmarkStep(b *testing.B) {
	const n = 100
	for _, x := range []struct{ name, step string }{
		{"set/literal", "step s%d set 1"},
		{"set/expression", "step s%d set ${{ trigger.task.id }}"},
		{"effect/literal", "step s%d use x.y\n  with a = 1"},
		{"effect/expression", "step s%d use x.y\n  with a = ${{ trigger.task.id }}"},
	} {
		b.Run(x.name, func(b *testing.B) {
			p := chain(b, n, x.step)
			b.ReportAllocs()
			for b.Loop() {
				if _, end := drive(p, json.RawMessage(event), false); end == nil {
					b.Fatal("the run doesn't end")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/step")
		})
	}
}

// BenchmarkW1 is a run as the product is measured by: accept, effect, settle,
// end.
func BenchmarkW1(b *testing.B) {
	p := mustProgram(b, w1)
	b.ReportAllocs()
	for b.Loop() {
		if _, end := drive(p, json.RawMessage(event), false); end == nil {
			b.Fatal("the run doesn't end")
		}
	}
}

func BenchmarkReplay1000(b *testing.B) {
	p := chain(b, 999, "step s%d use x.y\n  with a = ${{ trigger.task.id }}")
	facts, end := drive(p, json.RawMessage(event), true)
	if end == nil || len(facts) != 1000 {
		b.Fatalf("%d facts", len(facts))
	}
	b.ReportAllocs()
	for b.Loop() {
		m := machine.New(p, machine.Run{ID: "0193e0a4-7d5b-7c3a-9f3e-5a1b2c3d4e5f", Version: 1, Attempt: 1})
		for _, f := range facts {
			m.Apply(f)
		}
		if state, _, _ := m.State(); state != machine.Succeeded {
			b.Fatal(state)
		}
	}
}
