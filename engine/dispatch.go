package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/sdk"
)

// Perform implements Worker: it finds the action, makes its host and calls it.
func (e *Engine) Perform(ctx context.Context, job Job) Outcome {
	eff := job.Effect
	name, member, _ := strings.Cut(eff.Action, ".")
	c, err := e.o.Connectors.Connector(name)
	if err != nil {
		return Outcome{Err: &machine.Error{Kind: string(sdk.Unavailable), Retryable: true, Step: eff.Step, Message: err.Error()}}
	}
	a, err := findAction(c, eff.Action, member)
	if err != nil {
		return Outcome{Err: &machine.Error{Kind: string(sdk.Invalid), Step: eff.Step, Message: err.Error()}}
	}
	var (
		mu   sync.Mutex
		out  Outcome
		over bool
	)
	input := make(sdk.Fields, len(eff.Input))
	for i, f := range eff.Input {
		input[i] = sdk.Field(f)
	}
	host, done := e.o.Hosts.Host(ctx, HostCall{
		Connector: c, Config: func() []byte { return input.JSON() },
		Graph: job.Graph, Run: job.Run, Step: eff.Step,
		Record: func(x Exchange) {
			mu.Lock()
			defer mu.Unlock()
			if !over {
				out.Exchanges = append(out.Exchanges, x)
			}
		},
	})
	res, err := e.do(ctx, a, host, sdk.ActionCall{Action: a.Name, Input: input, IdempotencyKey: eff.Idempotency})
	done()
	mu.Lock()
	defer mu.Unlock()
	over = true
	if bad := e.checkOutput(c, res.Output); bad != nil {
		// What isn't JSON can't be kept; the call itself may well have succeeded.
		res.Output, err = nil, errors.Join(err, bad)
	}
	if err != nil {
		out.Err = failure(eff.Step, res.Output, err)
		return out
	}
	out.Output = res.Output
	return out
}

// do calls an action; a panic of an in-process connector is the call's alone.
func (e *Engine) do(ctx context.Context, a *sdk.Action, h sdk.Host, c sdk.ActionCall) (res sdk.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			e.o.Log.Error("a connector panicked", "action", a.Name, "panic", r, "stack", string(debug.Stack()))
			res, err = sdk.Result{}, sdk.Errorf(sdk.Panicked, "the connector panicked: %v", r)
		}
	}()
	if a.Do == nil {
		return res, sdk.Errorf(sdk.Unsupported, "the action %q has no function", a.Name)
	}
	return a.Do(ctx, h, c)
}

func (e *Engine) checkOutput(c Connector, out json.RawMessage) error {
	if len(out) > e.o.Limits.OutputBytes {
		return sdk.Errorf(sdk.TooLarge, "the result is %d bytes, the limit is %d (limits.output_bytes)", len(out), e.o.Limits.OutputBytes)
	}
	if out == nil {
		return nil
	}
	if err := expr.CheckJSON(out, e.o.Limits.EventDepth); err != nil {
		return sdk.Errorf(sdk.Failed, "the connector %s gave a result that isn't JSON: %w", c.Name, err)
	}
	return nil
}

// failure makes a connector's error a run's.
func failure(step string, data json.RawMessage, err error) *machine.Error {
	f := &machine.Error{Kind: string(sdk.KindOf(err)), Message: clip(err.Error()), Step: step, Data: data}
	f.Retryable = sdk.KindOf(err).Retryable()
	var s *sdk.Error
	if errors.As(err, &s) {
		f.RetryAfter = s.RetryAfter.Milliseconds()
	}
	return f
}

// maxMessage bounds what a stranger's error can add to a journal.
const maxMessage = 4 << 10

func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxMessage {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(s[:maxMessage], ""), len(s))
}
