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

// Perform implements Worker: it finds the action of the connector that the run's
// version was published with, makes its host and calls it. A connector that isn't
// there may come back: the call has failed as unavailable and may be tried again.
func (e *Engine) Perform(ctx context.Context, job Job) Outcome {
	eff := job.Effect
	v, err := e.compiled(ctx, job.Graph, job.Version)
	var c Connector
	var member string
	if err == nil {
		c, member, err = v.at(e.o.Connectors, eff.Action)
	}
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
		size int
		kept keeping
		hide mask
		warn warnings
	)
	connection := v.connection(eff.Step)
	if connection != "" && e.o.Connections == nil {
		return Outcome{Err: failure(&hide, eff.Step, nil, e.usable(ctx, connection))}
	}
	input, bad := e.reveal(ctx, &hide, eff)
	if bad != nil {
		return Outcome{Err: bad}
	}
	host, done := e.o.Hosts.Host(ctx, HostCall{
		Connector: c, Config: func() []byte { return input.JSON() },
		Graph: job.Graph, Run: job.Run, Step: eff.Step, Connection: connection, Conceal: hide.conceal,
		Secret: func(ctx context.Context, name string) (string, error) { return e.noted(ctx, &hide, name) }, Hide: hide.value,
		Keep: kept.keep, Waiting: func(why string) { e.waits.note(job.Run, eff.Key, why) },
		Warn: func(msg string, args ...any) { warn.note(&hide, msg, args) },
		Record: func(x Exchange) {
			mu.Lock()
			defer mu.Unlock()
			if size += x.size(); !over && size <= maxExchanges {
				out.Exchanges = append(out.Exchanges, x)
			}
		},
	})
	res, err := e.answer(ctx, c, v.program.ByID[eff.Step], eff, input, func(input sdk.Fields, key string) (sdk.Result, error) {
		return e.do(ctx, &hide, a, host, sdk.ActionCall{Action: a.Name, Input: input, IdempotencyKey: key})
	})
	done()
	files, release := kept.end()
	mu.Lock()
	defer mu.Unlock()
	over, out.Warnings = true, warn.end()
	if bad := e.checkOutput(c, res.Output); bad != nil {
		// What isn't JSON can't be kept; the call itself may well have succeeded.
		res.Output, err = nil, errors.Join(err, bad)
	}
	for i := range out.Exchanges {
		hide.exchange(&out.Exchanges[i])
	}
	// One reading of it from here on: a name that stood twice reads as its last.
	res.Output = hide.json(expr.PlainJSON(res.Output))
	if err != nil {
		e.discard(ctx, files, release)
		out.Err = failure(&hide, eff.Step, res.Output, err)
		return out
	}
	out.Output, out.Files, out.Release = res.Output, files, release
	return out
}

// do calls an action; a panic of an in-process connector is the call's alone.
func (e *Engine) do(ctx context.Context, m *mask, a *sdk.Action, h sdk.Host, c sdk.ActionCall) (res sdk.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			e.o.Log.Error("a connector panicked", "action", a.Name, "panic", m.value(r), "stack", string(debug.Stack()))
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
func failure(m *mask, step string, data json.RawMessage, err error) *machine.Error {
	if bad, ok := errors.AsType[*machine.Error](err); ok { // of an expression about the result, which has its place
		f := *bad
		f.Message, f.Data = clip(m.text(f.Message)), data
		return &f
	}
	// Hidden before it is cut short: half a secret isn't found any more.
	f := &machine.Error{Kind: string(sdk.KindOf(err)), Message: clip(m.text(err.Error())), Step: step, Data: data}
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
