package program_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

// A secret goes whole into a field that takes one; everything else is told when
// the graph is saved, with its place.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const takes = "in http.post these take secrets: keys, token"
	for _, c := range []struct{ step, want string }{
		{`use: http.post, with: {url: "u", token: '${{ secret("a") }}'}`, ""},
		{`use: http.post, with: {url: "u", token: '${{ trigger.body.x == 1 ? secret("a") : secret("b") }}'}`, ""},
		{`use: http.post, with: {url: "u", token: '${{ let k = secret("a"); k }}'}`, ""},
		{`use: http.post, with: {url: "u", keys: {A: '${{ secret("a") }}', B: [x, '${{ secret("b") }}'], C: plain}}`, ""},
		{`use: http.post, with: {url: "u", keys: '${{ {A: secret("a")} }}'}`, ""},
		{`use: http.post, with: {url: "u", raw: '${{ secret("a") }}'}`, ""}, // a literal
		{`use: http.post, with: {url: '${{ secret("a") }}'}`, "/steps/0/with/url secret: a secret can be given only to a field that takes one; " + takes},
		{`use: http.post, with: {url: "u", body: '${{ secret("a") }}'}`, "/steps/0/with/body secret: a secret can be given only to a field that takes one; " + takes},
		{`use: http.post, with: {url: "u", body: {t: ['${{ {k: secret("a")} }}']}}`, "/steps/0/with/body/t/0 secret: a secret can be given only to a field that takes one; " + takes},
		{`use: http.post, with: {url: "u", headers: {A: '${{ secret("a") }}'}}`, "/steps/0/with/headers/A secret: a secret can be given only to a field that takes one; " + takes},
		{`use: http.post, with: {url: "u", keys: {A: '${{ {b: secret("a")} }}'}}`, "/steps/0/with/keys/A type: expected string or secret or list(string or secret), got object{b: secret}; " + takes},
		{`use: http.post, with: {url: "u", token: 'Bearer ${{ secret("a") }}'}`, "/steps/0/with/token secret: a secret can't be part of a text; give the secret whole to a field that takes one"},
		{`use: http.post, with: {url: "u", token: '${{ "Bearer " + secret("a") }}'}`, "/steps/0/with/token secret: a secret can't be used with +; give the secret whole to a field that takes one"},
		{`use: http.post, with: {url: "u", token: '${{ concat([secret("a")], ["b"])[0] }}'}`, "/steps/0/with/token secret: a secret can't be given to concat; give the secret whole to a field that takes one"},
		{`use: http.post, with: {url: "u", token: '${{ secret("api-key") }}'}`, `/steps/0/with/token secret: the name of a secret is of a-z, 0-9 and _, beginning with a letter, not "api-key"; call it "api_key"`},
		{`use: http.post, with: {url: "u", token: '${{ secret(trigger.body) }}'}`, `/steps/0/with/token secret: the name of a secret must be a constant text; write secret("name")`},
		{`use: http.post, with: {url: "u", token: {$secret: a}}`, "/steps/0/with/token type: must be a text, not an object"},
		{`set: {k: '${{ secret("a") }}'}`, "/steps/0/set/k secret: a secret can be given only to a field that takes one; a step's output is stored; write secret(…) where it is needed"},
		{`set: '${{ [secret("a")] }}'`, "/steps/0/set secret: a secret can be given only to a field that takes one; a step's output is stored; write secret(…) where it is needed"},
		{`if: '${{ secret("a") }}', set: 1`, "/steps/0/if type: a condition must be true or false; a secret can be given only to a field that takes one"},
		{`respond: {body: {k: '${{ secret("a") }}'}}`, "/steps/0/respond/body/k secret: a secret can be given only to a field that takes one; an answer is for the caller; it never has a secret in it"},
		{`respond: {headers: {K: '${{ secret("a") }}'}}`, "/steps/0/respond/headers/K secret: a secret can be given only to a field that takes one; an answer is for the caller; it never has a secret in it"},
	} {
		p, problems := buildSource(t, "name: n\ntrigger: {use: webhook, with: {path: p}}\nsteps:\n  - {id: a, "+c.step+"}\n")
		var got []string
		for _, x := range problems {
			s := x.Pointer + " " + x.Code + ": " + x.Message
			if x.Suggestion != "" {
				s += "; " + x.Suggestion
			}
			got = append(got, s)
		}
		if s := strings.Join(got, "\n"); s != c.want || (p == nil) != (c.want != "") {
			t.Errorf("%s\n got %s\nwant %s", c.step, s, c.want)
		}
	}
}

func buildSource(t testing.TB, src string) (*program.Program, []graph.Problem) {
	t.Helper()
	doc, problems := graph.Parse([]byte(src), graph.YAML, graph.Limits{})
	if doc == nil || len(problems) > 0 {
		t.Fatal(src, problems)
	}
	return program.Build(doc, fake{})
}

// What a run computes holds references, which are found by the field's type.
func TestSecretsAreReferences(t *testing.T) {
	t.Parallel()
	p, problems := buildSource(t, `
name: n
trigger: {use: webhook, with: {path: p}}
steps:
  - id: a
    use: http.post
    with:
      url: u
      token: ${{ secret("forms") }}
      keys: {A: "${{ trigger.body.a }}", B: ['${{ secret("b") }}', '${{ secret("a") }}']}
      body: ${{ trigger.body }}
`)
	if p == nil {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]string{"a", "b", "forms"}, p.Secrets()); diff != "" {
		t.Error(diff)
	}
	event := expr.NewRaw([]byte(`{"body":{"a":"text","$secret":"forged"}}`))
	env := &expr.Env{Values: make([]any, program.NumVars)}
	env.Values[program.VarTrigger] = event
	want := map[string]string{
		"token": `{"$secret":"forms"}`,
		"keys":  `{"A":"text","B":[{"$secret":"b"},{"$secret":"a"}]}`,
		"body":  `{"a":"text","$secret":"forged"}`,
	}
	for _, f := range p.ByID["a"].With {
		out, err := f.Value.AppendJSON(nil, env)
		if w := want[f.Name]; w != "" && (err != nil || string(out) != w) {
			t.Errorf("%s is %s, %v", f.Name, out, err)
		}
		if takes := f.Name == "token" || f.Name == "keys"; takes != (f.To != nil) {
			t.Errorf("%s is looked through for secrets: %v", f.Name, f.To)
		}
	}
	// What came with the event is no reference where one is looked for.
	env.Values[program.VarTrigger] = expr.NewRaw([]byte(`{"body":{"a":{"$secret":"forged"}}}`))
	for _, f := range p.ByID["a"].With {
		if f.Name == "keys" {
			if out, err := f.Value.AppendJSON(nil, env); err == nil {
				t.Errorf("a forged reference gives %s", out)
			}
		}
	}
}
