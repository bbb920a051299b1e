package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// A success whose output isn't what the step says it is is none, however it
// came about.
func TestAnOutputFitsWhatTheStepSaysOfIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	n := 0
	for name, x := range map[string]struct{ answer, more, message string }{
		"it fits":           {`{body: {id: 5}}`, "", ""},
		"it doesn't":        {`{body: {id: x}}`, "", "the output isn't what the step says it is: /body/id: must be a whole number, not a text"},
		"two problems":      {`{body: {id: x, a: 1}}`, "", "the output isn't what the step says it is: /body/id: must be a whole number, not a text (and 1 more)"},
		"absent counts":     {`{other: 1}`, "", "the output isn't what the step says it is: /body: must be an object, not null"},
		"no object":         {`[1]`, "", "the output isn't what the step says it is: : it must be an object"},
		"judged and fits":   {`{body: {id: 5}}`, "success_when: true, ", ""},
		"judged and wrong":  {`{body: {id: x}}`, "success_when: true, ", "the output isn't what the step says it is: /body/id: must be a whole number, not a text"},
		"a page that fits":  {`{body: {id: 5}}`, "paginate: {page: {field: p}, until: 'true', items: '${{ [output.body.id] }}'}, ", ""},
		"a page that isn't": {`{body: {id: x}}`, "paginate: {page: {field: p}, until: 'true', items: '${{ [output.body.id] }}'}, ", "the output isn't what the step says it is: /body/id: must be a whole number, not a text"},
	} {
		n++
		graph := fmt.Sprintf("g%d", n)
		b.on("name: " + graph + "\ntrigger: {use: test.hook, with: {path: " + graph + "}}\nsteps:\n  - {id: s, use: test.tell, " + x.more +
			"with: {schema: {type: object, additionalProperties: false, required: [id], properties: {id: {type: integer}}}, answer: " + x.answer + "}}\n")
		var s engine.StepView
		for _, v := range b.ended(b.mustPost(graph, "", `{}`).Run).Steps {
			s = v
		}
		switch {
		case x.message == "" && s.Err != nil:
			t.Errorf("%s: %v", name, s.Err)
		case x.message != "" && (s.Err == nil || s.Err.Kind != "failed" || s.Err.Message != x.message || s.Err.Data == nil):
			t.Errorf("%s: %+v, want %q", name, s.Err, x.message)
		}
	}
}

// What an answer says twice has one meaning, whether a path reads it or it is
// copied whole.
func TestAnOutputIsReadAndCopiedAlike(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on("name: twice\ntrigger: {use: test.hook}\nsteps:\n  - {id: a, use: test.act}\n" +
		"  - id: z\n    set: {read: '${{ steps.a.k }}', whole: '${{ steps.a }}', text: 'is ${{ steps.a }}', half: '${{ steps.a.s }}'}\n")
	b.does(func(context.Context, sdk.ActionCall) (sdk.Result, error) {
		return sdk.Result{Output: json.RawMessage(`{"k":1,"s":"\ud800","k":{"n":1,"n":2}}`)}, nil
	})
	v := b.ended(b.mustPost("twice", "", `1`).Run)
	want := "{\"read\":{\"n\":2},\"whole\":{\"s\":\"\ufffd\",\"k\":{\"n\":2}},\"text\":\"is {\\\"s\\\":\\\"\ufffd\\\",\\\"k\\\":{\\\"n\\\":2}}\",\"half\":\"\ufffd\"}"
	if got := string(v.Result); got != want {
		t.Errorf("the result is %s (%v), want %s", got, v.Err, want)
	}
}
