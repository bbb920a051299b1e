package expr

import (
	"testing"
	"time"
)

const eventSchema = `{"type":"object","additionalProperties":false,"required":["body"],"properties":{"body":{
 "type":"object","additionalProperties":false,"required":["title","items","n","f","b","event"],"properties":{
  "title":{"type":"string"},"event":{"enum":["task.completed","task.created"]},"n":{"type":"integer"},"f":{"type":"number"},"b":{"type":"boolean"},
  "task":{"type":"object","additionalProperties":false,"required":["title"],"properties":{
   "title":{"type":"string"},"due":{"type":["string","null"]},"tags":{"type":"array","items":{"type":"string"}}}},
  "items":{"type":"array","items":{"type":"object","additionalProperties":false,"required":["name","price"],"properties":{
   "name":{"type":"string"},"price":{"type":"number"},"qty":{"type":"integer"}}}},
  "who":{"oneOf":[
   {"type":"object","additionalProperties":false,"required":["kind","mail"],"properties":{"kind":{"const":"person"},"mail":{"type":"string"}}},
   {"type":"object","additionalProperties":false,"required":["kind","team"],"properties":{"kind":{"const":"team"},"team":{"type":"string"}}}]},
  "open":{"type":"object","properties":{"known":{"type":"string"}}},"dict":{"type":"object","additionalProperties":{"type":"integer"}},"free":true}}}}`

const event = `{"body":{"title":"Hello","event":"task.completed","n":3,"f":1.50,"b":true,
 "items":[{"name":"a","price":2.5,"qty":1},{"name":"b","price":4}],
 "open":{"z":1e6,"é\"":1},"dict":{"k":12345678901234567890},"free":{"list":[1,"x",null]}}}`

func mustSchema(t testing.TB, s string) *Type {
	t.Helper()
	typ, err := ParseSchema([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// members is a Members whose members are a map's.
type members map[string]any

func (m members) Member(name string) (any, bool) {
	v, ok := m[name]
	return v, ok
}

// listed can be written out, too.
type listed struct{ members }

func (l listed) Names() []string {
	out := []string{}
	for k := range l.members {
		out = append(out, k)
	}
	return out
}

// newScope is what a step sees; newEnv has its values.
func newScope(t testing.TB) *Scope {
	t.Helper()
	entry := ObjectOf([]Prop{{Name: "body", Type: ObjectOf([]Prop{{Name: "title", Type: StringType()}}, nil)}}, nil)
	state := ObjectOf([]Prop{
		{Name: "status", Type: Enum("succeeded", "failed")},
		{Name: "error", Type: Optional(ObjectOf([]Prop{{Name: "kind", Type: StringType()}}, nil))},
	}, nil)
	return NewScope(
		Var{Name: "trigger", Type: mustSchema(t, eventSchema)},
		Var{Name: "steps", Type: ObjectOf([]Prop{{Name: "entry", Type: entry}}, nil)},
		Var{Name: "step", Type: ObjectOf([]Prop{{Name: "entry", Type: state}}, nil), Call: true},
		Var{Name: "x"},
	)
}

func newEnv() *Env {
	return &Env{
		Values: []any{
			NewRaw([]byte(event)),
			members{"entry": NewRaw([]byte(`{"body":{"title":"t"}}`))},
			members{"entry": map[string]any{"status": "failed", "error": map[string]any{"kind": "timeout"}}},
			nil,
		},
		Now:  time.Date(2026, 11, 24, 10, 30, 0, 0, time.UTC),
		Seed: []byte("run"),
	}
}
