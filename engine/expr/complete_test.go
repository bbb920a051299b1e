package expr

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// The broken bar is the cursor; the labels that are wanted come first, in this order,
// and "…" says that others may follow.
func TestComplete(t *testing.T) {
	t.Parallel()
	sc := newScope(t)
	for src, want := range map[string]string{
		`trigger.body.ti¦`:                                   `title`,
		`trigger.body.ti¦tle`:                                `title`,
		`trigger.body.TI¦`:                                   `title`,
		`trigger.¦`:                                          `body`,
		`trigger?.¦`:                                         `body`,
		`trigger.body.task?.¦`:                               `due tags title`,
		`trigger.body["ta¦`:                                  `task`,
		`trigger.body['ta¦'] + 1`:                            `task`,
		`lower(trigger.body.ti¦`:                             `title`,
		`lower(trigger.body.ti¦) + trigger.body.`:            `title`,
		`map(trigger.body.items, .¦`:                         `name price qty`,
		`map(trigger.body.items, #.¦`:                        `name price qty`,
		`map(trigger.body.items, {{n: .¦`:                    `name price qty`,
		`trigger.body.items | filter(.pr¦`:                   `price`,
		`trigger.body.items | filter(.price > 1) | map(.na¦`: `name`,
		`trigger.body.items[0].¦`:                            `name price qty`,
		`filter(trigger.body.items, .¦) | map(`:              `name price qty`,
		`let t = trigger.body; t.ti¦`:                        `title`,
		`let title2 = trigger.body.title; titl¦`:             `title2 titleCase`,
		`let a = trigger.body.¦`:                             `b dict event f free items n open task title who`,
		`trigger.body.b ? trigger.body.ti¦`:                  `title`,
		`trigger.body.b ? 1 : trigger.body.ti¦`:              `title`,
		`(trigger.body.b ? [trigger.body.ti¦`:                `title`,
		`if trigger.body.b { trigger.body.ti¦`:               `title`,
		`if trigger.body.¦ `:                                 `b dict event f free items n open task title who`,
		`if trigger.body.b { 1 } else { trigger.body.ti¦`:    `title`,
		`{a: trigger.body.ti¦`:                               `title`,
		`{a: 1, b: trigger.body.b ? 1 : trigger.body.ti¦`:    `title`,
		`trigger.body.items[trigger.body.n¦`:                 `n`,
		`trigger.body.event == "task.c¦`:                     `task.completed task.created`,
		`trigger.body.event == "¦"`:                          `task.completed task.created`,
		`sort([1], "¦`:                                       `asc desc`,
		`steps.en¦`:                                          `entry`,
		`steps.entry.body.¦`:                                 `title`,
		`step("¦`:                                            `entry`,
		`step("en¦").status`:                                 `entry`,
		`step("entry").¦`:                                    `error status`,
		`step("entry").error?.¦`:                             `kind`,
		`get(trigger, "bo¦`:                                  `body`,
		`trig¦`:                                              `trigger`,
		`lo¦`:                                                `lower …`,
		`trigger.body.title | lo¦`:                           `lower …`,
		`trigger.body.title | lower() | capi¦`:               `capitalize`,
		`trigger.body.items | low¦`:                          ``,
		`upper(¦`:                                            `x after …`,
		`map(trigger.body.items, ¦`:                          `.name .price .qty # #index trigger steps step x …`,
		`trigger.body.who.¦`:                                 `kind mail team`,
		`x ?? trigger.body.ti¦`:                              `title`,
		`not trigger.body.b && trigger.body.ti¦`:             `title`,
		`a ${{ trigger.body.ti¦ }} b ${{`:                    `title`,
		`a ${{ trigger.body.ti¦`:                             `title`,
		`${{ x }} ${{ upper(trigger.body.ti¦ }}`:             `title`,
		`a trig¦ ${{ x }}`:                                   ``,
		`$${{ trigger.¦ }}`:                                  ``,
		`"trigger.¦`:                                         ``,
		`/* trigger.¦`:                                       ``,
		`trigger.body.title ¦`:                               ``,
		`trigger.nothing.¦`:                                  ``,
		`trigger.body.title.¦`:                               ``,
		`ü + trigger.body.ti¦`:                               `title`,
		`)¦`:                                                 ``,
	} {
		cursor := utf8.RuneCountInString(src[:strings.Index(src, "¦")])
		full := src
		src = src[:strings.Index(src, "¦")] + src[strings.Index(src, "¦")+len("¦"):]
		got := Complete(src, cursor, sc)
		var labels []string
		for _, it := range got.Items {
			labels = append(labels, it.Label)
		}
		all := strings.Join(labels, " ")
		if head, open := strings.CutSuffix(want, " …"); all != want && (!open || !strings.HasPrefix(all+" ", head+" ")) {
			t.Errorf("%s: %q, want %q", full, all, want)
		}
		if got.From > cursor || got.To < cursor && len(got.Items) > 0 {
			t.Errorf("%s: from %d to %d, the cursor being at %d", full, got.From, got.To, cursor)
		}
	}
}

func TestCompleteTellsTypesAndDocs(t *testing.T) {
	t.Parallel()
	sc := NewScope(Var{Name: "trigger", Type: mustSchema(t, `{"properties":{"due":{"type":"string","description":"When it is due."},"a-b":{"type":"integer"}},"required":["a-b"],"additionalProperties":false}`)})
	for src, want := range map[string]Item{
		`trigger.d`: {Label: "due", Kind: ItemField, Type: "string or null", Doc: "When it is due."},
		`trigger.a`: {Label: "a-b", Kind: ItemField, Type: "integer", Detail: `["a-b"]`},
		`capital`:   {Label: "capitalize", Kind: ItemFunction, Type: "string", Doc: "The text with its first letter in upper case.", Detail: "capitalize(text: string): string"},
		`trig`:      {Label: "trigger", Kind: ItemVariable, Type: `object{a-b: integer, due?: string}`},
	} {
		got := Complete(src, len(src), sc)
		if len(got.Items) != 1 || got.Items[0] != want {
			t.Errorf("%s: %+v, want %+v", src, got.Items, want)
		}
	}
	if got := Complete("ü + trigger.due", 13, sc); got.From != 12 || got.To != 15 {
		t.Errorf("from %d to %d, want 12 to 15", got.From, got.To)
	}
}

// FuzzComplete: a completion lies within its source, wherever the cursor is.
func FuzzComplete(f *testing.F) {
	addExpressions(f)
	f.Add(`a ${{ trigger.body. }} ${{ "x`)
	sc := newScope(f)
	f.Fuzz(func(t *testing.T, src string) {
		n := utf8.RuneCountInString(src)
		for cursor := range min(n+1, 80) {
			got := Complete(src, cursor, sc)
			if got.From < 0 || got.From > got.To || got.To > n || got.From > cursor {
				t.Fatalf("%q at %d: %d to %d", src, cursor, got.From, got.To)
			}
			for _, it := range got.Items {
				if it.Label == "" || it.Kind == "" || strings.Contains(it.Label, marker) {
					t.Fatalf("%q at %d: %+v", src, cursor, it)
				}
			}
		}
	})
}

// manySteps is a scope of 50 steps with 200 fields each.
func manySteps() *Scope {
	props := make([]Prop, 0, 200)
	for i := range 200 {
		props = append(props, Prop{Name: fmt.Sprintf("field%03d", i), Type: StringType()})
	}
	output := ObjectOf([]Prop{{Name: "body", Type: ObjectOf(props, nil)}}, nil)
	steps := make([]Prop, 0, 50)
	for i := range 50 {
		steps = append(steps, Prop{Name: fmt.Sprintf("step%02d", i), Type: output})
	}
	return NewScope(Var{Name: "steps", Type: ObjectOf(steps, nil)})
}

func BenchmarkComplete(b *testing.B) {
	sc := manySteps()
	for name, src := range map[string]string{
		"fields":    `lower(steps.step31.body.`,
		"names":     ``,
		"piped":     `steps.step31.body.field001 | `,
		"condition": `steps.step01.body.field001 == "x" ? {a: [steps.step31.body.f`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Complete(src, len(src), sc)
			}
		})
	}
}
