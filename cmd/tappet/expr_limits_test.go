package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// The limits of expressions are settings: of what is saved, of what a run
// computes, and of what is tried out.
func TestExpressionLimitsAreSettings(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--limits-expr-brackets", "3", "--limits-expr-steps", "5000")
	v, err := s.Validate(t.Context(), []byte("name: a\ntrigger: {use: manual}\nsteps: [{id: s, set: '${{ [[[[1]]]] }}'}]"), client.YAML)
	if err != nil || len(v.Problems) != 1 || v.Problems[0].Message != "brackets nest more than 3 deep (limits.expr_brackets)" {
		t.Errorf("%+v, %v", v.Problems, err)
	}
	s.deploy(t, "b", "name: b\ntrigger: {use: manual}\nsteps: [{id: s, set: '${{ sum(1..trigger.body) }}'}]")
	for n, want := range map[string]string{"10": "succeeded", "10000": "failed"} {
		run, _, err := s.StartRun(t.Context(), "b", client.Start{Event: json.RawMessage(`{"body": ` + n + `}`), Wait: 30 * time.Second})
		if err != nil || run.State != want {
			t.Errorf("the sum up to %s: %s, %v", n, run.State, err)
		}
		if want == "failed" && (run.Error == nil || run.Error.Kind != "expression" || !strings.Contains(run.Error.Message, "takes more than 5000 steps (limits.expr_steps)")) {
			t.Errorf("the error is %+v", run.Error)
		}
	}
	cmd := command(t, binary(t), "serve", "--limits-expr-depth", "16385", "--data", t.TempDir(), "--addr", "127.0.0.1:0")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "--limits-expr-depth must be from 1 to 16384") {
		t.Errorf("%v: %s", err, out)
	}
}
