package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// A route is where the requests of a webhook trigger come in.
type route struct {
	path    program.Path
	methods []string
	maxBody int64
	graph   GraphID
	name    string
	version int
	config  json.RawMessage
	conn    Connector
	trigger *sdk.Trigger
	members []program.Member
	// secrets are the names that the config refers to, hides those and the
	// connector's own.
	secrets, hides []string
	// credentials are the names of the fields that the config wants credentials in.
	credentials []string
	prog        *program.Program
}

// newEndpoint reads path, methods and max_body, which any webhook trigger's
// config may have: path is the graph's name unless set, methods POST, max_body
// the server's. The route has nothing else.
func newEndpoint(name string, config json.RawMessage) (*route, error) {
	c := struct {
		Path    string   `json:"path"`
		Methods []string `json:"methods"`
		MaxBody int64    `json:"max_body"`
	}{Path: name}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("read the trigger's path: %w", err)
	}
	path, err := program.ParsePath(c.Path)
	if err != nil {
		return nil, err
	}
	if len(c.Methods) == 0 {
		c.Methods = []string{http.MethodPost}
	}
	return &route{path: path, methods: c.Methods, maxBody: max(0, c.MaxBody)}, nil
}

func newRoute(g StoredGraph, p *plan) (*route, error) {
	r, err := newEndpoint(g.Name, p.prog.Trigger.Config)
	if err != nil {
		return nil, err
	}
	r.graph, r.name, r.version, r.conn, r.trigger, r.prog = g.ID, g.Name, g.Version, p.conn, p.trigger, p.prog
	r.config, r.members = p.prog.Trigger.Config, p.prog.Trigger.Members
	r.secrets = secretsOf(r.trigger, r.config)
	r.hides = slices.Clone(r.secrets)
	for _, name := range r.conn.Needs.Secrets {
		r.hides = append(r.hides, strings.ReplaceAll(name, "-", "_"))
	}
	if r.trigger.Credentials != nil {
		r.credentials = r.trigger.Credentials(r.config)
	}
	return r, nil
}

func (r *route) takes(method string) bool { return slices.Contains(r.methods, method) }

func (r *route) hasParams() bool {
	return slices.ContainsFunc(r.path, func(s program.Segment) bool { return s.Param != "" })
}

// params gives the values of the path's parameters in an escaped path. A value is
// one segment as it stands between the slashes, and decoded after that: %2F is a
// slash of the value. Errors are of kind sdk.Invalid.
func (r *route) params(path string) ([]sdk.Pair, error) {
	if !r.hasParams() {
		return nil, nil
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	fits := len(parts) == len(r.path)
	var out []sdk.Pair
	for i := 0; fits && i < len(parts); i++ {
		name := r.path[i].Param
		if name == "" {
			fits = parts[i] == r.path[i].Literal
			continue
		}
		text, err := url.PathUnescape(parts[i])
		if err != nil || !utf8.ValidString(text) {
			return nil, sdk.Errorf(sdk.Invalid, "the path's parameter {%s} is no text in UTF-8 with percent escapes", name)
		}
		out = append(out, sdk.Pair{Name: name, Value: text})
	}
	if !fits {
		return nil, sdk.Errorf(sdk.Invalid, "the path isn't one of /hooks/%s", r.path)
	}
	return out, nil
}

// A HookRoute tells, before its body is read, how a request is to be taken.
type HookRoute struct {
	// Streams: the trigger reads a body of files itself, from
	// sdk.WebhookRequest.Stream.
	Streams bool
	// MaxBody is the graph's own limit of a body in bytes; 0: it has none.
	MaxBody int64
}

// HookRoute finds the webhook trigger whose path and method a request has.
// Errors are of kind NotFound or MethodNotAllowed.
func (e *Engine) HookRoute(path, method string) (HookRoute, error) {
	r, err := e.route("receive /hooks/"+path, path, method)
	if err != nil {
		return HookRoute{}, err
	}
	return HookRoute{Streams: r.trigger.Multipart, MaxBody: r.maxBody}, nil
}

func (e *Engine) route(op, path, method string) (*route, error) {
	r, err := e.owner(op, path, method)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// owner is route, which gives with an error the route of the graph whose path it
// is all the same: with MethodNotAllowed one that takes other methods, with
// Unavailable one that was turned OFF a moment ago.
func (e *Engine) owner(op, path, method string) (*route, error) {
	r, others := e.routes.Load().find(strings.Trim(path, "/"), method)
	if r != nil {
		return r, nil
	}
	if r, err := e.closed.check(op, path, method, e.now()); err != nil {
		return r, err
	}
	if len(others) > 0 {
		allow := methods(others)
		return others[0], &Error{Kind: MethodNotAllowed, Op: op, Allow: allow, Err: fmt.Errorf("what is taken here is %s", strings.Join(allow, ", "))}
	}
	return nil, noRoute(op)
}

func noRoute(op string) error {
	return errorf(NotFound, op, "no active graph has this path; is it ON?")
}

// Hook gives a request to the webhook trigger whose path it is. Errors are of
// kind NotFound, MethodNotAllowed, Refused (by the trigger; the cause is an
// *sdk.Error) and its like, Overloaded or Unavailable. It may wait for the run's answer, up
// to Limits.HookWait or the end of ctx; the run goes on without.
func (e *Engine) Hook(ctx context.Context, path string, req sdk.WebhookRequest) (HookResult, error) {
	op := "receive /hooks/" + path
	r, err := e.owner(op, path, req.Method)
	in := &incoming{route: r, req: &req, at: e.now()}
	if err != nil {
		e.unrouted(ctx, in, err)
		return HookResult{}, err
	}
	if req.Stream != nil && !r.trigger.Multipart {
		err := &Error{Kind: Unavailable, Op: op, RetryAfter: time.Second, Err: errors.New("the graph's trigger was changed while the request came in")}
		e.turnedAway(ctx, in, err, "")
		return HookResult{}, err
	}
	if req.Params, err = r.params(path); err != nil {
		err = refusal(op, err)
		e.turnedAway(ctx, in, err, "")
		return HookResult{}, err
	}
	res, files, release, err := e.receive(ctx, r, sdk.WebhookCall{Trigger: r.trigger.Name, Config: r.config, Request: req}, &in.hide)
	kept := false
	defer func() {
		if !kept {
			e.discard(ctx, files, release)
		}
	}()
	if err != nil {
		err = refusal(op, err)
		e.turnedAway(ctx, in, err, "")
		return HookResult{}, err
	}
	if len(files) > 0 {
		// It may have been turned OFF while the files came in.
		if now, err := e.owner(op, path, req.Method); err != nil {
			e.unrouted(ctx, in, err)
			return HookResult{}, err
		} else if now.graph != r.graph {
			return HookResult{}, noRoute(op)
		}
	}
	as, err := e.accepts(ctx, op, in, res.Events, files)
	if err != nil {
		return HookResult{}, err
	}
	if len(res.Events) == 0 {
		return HookResult{Answer: orEmpty(res.Answer)}, nil
	}
	first := slices.IndexFunc(as, func(a Acceptance) bool { return !a.Run.IsZero() })
	var w *waiter
	if first >= 0 && res.Wait && res.Answer == nil {
		w = e.waiters.add(as[first].Run)
		defer e.waiters.remove(as[first].Run, w)
	}
	acc, err := e.o.Runner.Accept(ctx, as)
	if err != nil {
		e.turnedAway(ctx, in, err, "")
		return HookResult{}, err
	}
	if first < 0 {
		return HookResult{Filtered: true, Answer: res.Answer}, nil
	}
	if release != nil {
		release()
		kept = !slices.ContainsFunc(acc, func(a Accepted) bool { return a.Duplicate })
	}
	out := HookResult{Run: acc[first].Run, Duplicate: acc[first].Duplicate, Answer: res.Answer}
	if w != nil && !acc[first].Duplicate {
		out.Answer = e.awaitAnswer(ctx, w)
	}
	return out, nil
}

// accepts makes the acceptances of a request's events: those that the filter
// has stopped have no run. Secrets of the trigger, which a sender may have put
// anywhere, don't become part of an event.
func (e *Engine) accepts(ctx context.Context, op string, in *incoming, events []sdk.Event, files []File) ([]Acceptance, error) {
	r := in.route
	came := e.arrival(ctx, in)
	as := make([]Acceptance, 0, len(events))
	for i, ev := range events {
		if err := e.checkEvent(r.conn, ev.Data); err != nil {
			err = refusal(op, err)
			e.turnedAway(ctx, in, err, "")
			return nil, err
		}
		if problems := e.checkMembers(r.members, ev.Data); len(problems) > 0 {
			err := &Error{Kind: Invalid, Op: op, Problems: problems}
			e.turnedAway(ctx, in, err, "")
			return nil, err
		}
		ev.Data = in.hide.json(ev.Data)
		a := Acceptance{Run: e.o.IDs.NewRun(), Graph: r.graph, Version: r.version, At: in.at, Files: files, Arrival: came}
		if i > 0 {
			a.Arrival = e.became(came, ArrivalRun, "", "")
		}
		pass, err := e.sift(r.prog, r.conn, r.trigger, ev, &a)
		if err != nil {
			e.o.Log.Warn("an event starts no run: the graph's filter or key can't be computed", "graph", r.name, "error", err)
			unfit := unfit(op)
			e.turnedAway(ctx, in, unfit, err.Error())
			return nil, unfit
		}
		if !pass {
			a = Acceptance{Arrival: e.became(came, ArrivalFiltered, codeFilter, "")}
		}
		as = append(as, a)
	}
	return as, nil
}

// unfit tells a caller that its event can't be judged. What the graph's author
// has written isn't told.
func unfit(op string) *Error {
	return &Error{Kind: Invalid, Op: op, Problems: []Problem{{Code: codeFilter, Message: "the graph's filter or key can't be computed for this event"}}}
}

func orEmpty(a *sdk.Answer) *sdk.Answer {
	if a == nil {
		return &sdk.Answer{Status: http.StatusNoContent}
	}
	return a
}

// receive calls the trigger's function. What it has kept is told with an error
// too; release is nil when that is nothing.
func (e *Engine) receive(ctx context.Context, r *route, call sdk.WebhookCall, hide *mask) (res sdk.RawWebhook, files []File, release func(), err error) {
	if r.conn.Origin != builtin { // what is built in waits for nothing here
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.o.Limits.CallTimeout)
		defer cancel()
	}
	var kept keeping
	defer func() { files, release = kept.end() }()
	host, done := e.o.Hosts.Host(ctx, HostCall{
		Connector: r.conn, Config: func() []byte { return r.config }, Graph: r.graph, Record: func(Exchange) {},
		State:  triggerState{e.o.Versions, r.graph, r.conn.Name + "." + r.trigger.Name},
		Secret: func(ctx context.Context, name string) (string, error) { return e.noted(ctx, hide, name) }, Hide: hide.value,
		Secrets: r.secrets, Keep: kept.keep,
	})
	defer done()
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a connector panicked", "trigger", r.trigger.Name, "panic", hide.value(p))
			res, err = sdk.RawWebhook{}, sdk.Errorf(sdk.Panicked, "the connector panicked")
		}
		err = hide.error(err)
	}()
	if r.trigger.Webhook == nil {
		return res, nil, nil, sdk.Errorf(sdk.Unsupported, "the trigger %q has no function", r.trigger.Name)
	}
	res, err = r.trigger.Webhook(ctx, host, call)
	return res, nil, nil, err
}

// awaitAnswer waits for a run's answer (G25); nil when it takes too long.
func (e *Engine) awaitAnswer(ctx context.Context, w *waiter) *sdk.Answer {
	timer := time.NewTimer(e.o.Limits.HookWait)
	defer timer.Stop()
	select {
	case a := <-w.answer:
		return answer(a)
	case end := <-w.end:
		select {
		case a := <-w.answer: // came before the end
			return answer(a)
		default:
			return ending(end)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}
