package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// ArrivalOutcome is what became of something that came in. The numbers are
// stored: they are never given to another outcome.
type ArrivalOutcome uint8

// The outcomes.
const (
	// ArrivalRun: it started a run.
	ArrivalRun ArrivalOutcome = 1
	// ArrivalFiltered: the graph's filter stopped it.
	ArrivalFiltered ArrivalOutcome = 2
	// ArrivalDuplicate: its key was known; Run is the one that had it first.
	ArrivalDuplicate ArrivalOutcome = 3
	// ArrivalRefused: the sender was told that it isn't taken.
	ArrivalRefused ArrivalOutcome = 4
	// ArrivalFailed: it couldn't be judged, by the trigger or by the graph.
	ArrivalFailed ArrivalOutcome = 5
)

// ArrivalOutcomes are the words for the outcomes, in the order of their numbers.
func ArrivalOutcomes() []string { return []string{"run", "filtered", "duplicate", "refused", "failed"} }

// String gives the word.
func (o ArrivalOutcome) String() string {
	if o < 1 || o > ArrivalFailed {
		return "unknown"
	}
	return ArrivalOutcomes()[o-1]
}

// An Arrival is something that came in for a graph, and what became of it.
type Arrival struct {
	// ID is a UUID of version 7, like a run's.
	ID      RunID
	Graph   GraphID
	At      time.Time
	Outcome ArrivalOutcome
	// Reason is a word: why it is no run; "reinjected" for one that was given in
	// again.
	Reason string
	// Detail says more, for people.
	Detail string
	// Run is set for runs and duplicates.
	Run RunID
	// Missed is how many that were refused before it, at a rate beyond what is
	// kept, are only counted.
	Missed int
	// Method, Path, Query and Remote are of the request; Method is empty for the
	// event of a poll or a stream, whose data is Body.
	Method, Path, Query, Remote string
	// Size is of the body, in bytes; -1: it went into files.
	Size int64
	// Header is without credentials: "***" stands in their place.
	Header sdk.Header
	// Body is the body as it came; nil when it was empty or wasn't kept.
	Body []byte
}

// Whole says whether all of the body was kept.
func (a *Arrival) Whole() bool { return int64(len(a.Body)) == a.Size }

// An ArrivalQuery selects arrivals; zero fields select all.
type ArrivalQuery struct {
	Graph    GraphID
	Outcomes []ArrivalOutcome
	// Limit is from 1 to 200; 0 means 50.
	Limit int
	// Cursor is ArrivalPage.Next of the page before.
	Cursor string
}

// An ArrivalPage is one page, newest first, without headers and bodies.
type ArrivalPage struct {
	Arrivals []Arrival
	// Next is empty on the last page.
	Next string
}

// An Inbox keeps arrivals. It is safe for concurrent use.
type Inbox interface {
	// Arrivals lists arrivals, newest first.
	Arrivals(context.Context, ArrivalQuery) (ArrivalPage, error)
	// Arrival gives one; the error of one that isn't there is of kind NotFound.
	Arrival(ctx context.Context, id RunID) (Arrival, error)
	// ForgetArrivals removes up to limit arrivals: those before a moment, and the
	// oldest of those that are more than keep, or, among the refused and failed,
	// more than keepRefused. It gives how many it has removed.
	ForgetArrivals(ctx context.Context, before time.Time, keep, keepRefused, limit int) (int, error)
}

// keptRefused is how many arrivals that were refused or failed are kept: anyone
// can make these.
const keptRefused = 5_000

// keptRefusedBody is how many bytes of the body of one of these are kept.
const keptRefusedBody = 8 << 10

// Refused arrivals of a graph that are kept: a burst, and then so many a second.
const (
	refusedBurst = 50
	refusedRate  = 5
)

// A tally bounds how fast refused arrivals are written, so that strangers don't
// fill the disk: what comes faster is counted. Its zero value is ready.
type tally struct {
	mu sync.Mutex
	m  map[GraphID]*graphTally
}

type graphTally struct {
	left   float64
	at     time.Time
	missed int
}

// admits says whether one more may be written, and how many were not since the
// last.
func (t *tally) admits(g GraphID, now time.Time) (missed int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[GraphID]*graphTally{}
	}
	x := t.m[g]
	if x == nil {
		x = &graphTally{left: refusedBurst, at: now}
		t.m[g] = x
	}
	x.left = min(refusedBurst, x.left+refusedRate*max(0, now.Sub(x.at).Seconds()))
	x.at = now
	if x.left < 1 {
		x.missed++
		return 0, false
	}
	x.left--
	missed, x.missed = x.missed, 0
	return missed, true
}

// An incoming is a request under way.
type incoming struct {
	route *route
	req   *sdk.WebhookRequest
	at    time.Time
	// hide has learned the secrets that were revealed for it.
	hide mask
	// unread: its body was refused before it was whole.
	unread bool
}

// arrival notes a request; nil when there is no inbox. It hides all secrets of
// the trigger, whether or not the request came so far that one was revealed.
func (e *Engine) arrival(ctx context.Context, in *incoming) *Arrival {
	if e.o.Inbox == nil {
		return nil
	}
	req := in.req
	e.learn(ctx, &in.hide, in.route.hides)
	a := &Arrival{
		ID: e.o.IDs.NewRun(), Graph: in.route.graph, At: in.at, Outcome: ArrivalRun,
		Method: req.Method, Path: req.Path, Query: in.hide.text(req.Query), Remote: req.Remote, Size: int64(len(req.Body)),
		Header: make(sdk.Header, len(req.Header)),
	}
	if req.Stream != nil {
		a.Size = -1
	}
	for i, f := range req.Header {
		if a.Header[i] = f; credential(f.Name) || in.route.wantsCredential(f.Name) {
			a.Header[i].Value = masked
		} else {
			a.Header[i].Value = in.hide.text(f.Value)
		}
	}
	if len(req.Body) <= e.o.Limits.InboxBody {
		a.Body = req.Body
	}
	return a
}

// credential says whether a header field is taken for one that has a credential.
func credential(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"auth", "cookie", "key", "token", "secret", "passw"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// wantsCredential says whether the trigger wants credentials in a field: a wrong
// one, that nearly is the secret, is as good as one.
func (r *route) wantsCredential(name string) bool {
	return slices.ContainsFunc(r.credentials, func(c string) bool { return strings.EqualFold(c, name) })
}

// became gives an arrival's own copy with its outcome; each event of a request
// is one.
func (e *Engine) became(a *Arrival, o ArrivalOutcome, reason, detail string) *Arrival {
	if a == nil {
		return nil
	}
	b := *a
	b.ID, b.Outcome, b.Reason, b.Detail = e.o.IDs.NewRun(), o, reason, clip(detail)
	return &b
}

// The reasons of refused arrivals that no kind of error says.
const (
	// reasonOff: its graph was turned OFF a moment ago.
	reasonOff = "off"
)

// turnedAway keeps an arrival that was refused or failed; without a detail it is
// what the sender is told.
func (e *Engine) turnedAway(ctx context.Context, in *incoming, err error, detail string) {
	outcome, reason := ArrivalRefused, string(KindOf(err))
	switch KindOf(err) {
	case Unavailable, Internal:
		outcome = ArrivalFailed
	case Invalid:
		if x, ok := errors.AsType[*Error](err); ok && slices.ContainsFunc(x.Problems, func(p Problem) bool { return p.Code == codeFilter }) {
			outcome, reason = ArrivalFailed, codeFilter
		}
	case NotFound, Conflict, TooLarge, Overloaded, Unauthorized, Refused, Unsupported, MethodNotAllowed:
	}
	if word := sdk.ReasonOf(err); word != "" {
		outcome, reason = ArrivalRefused, word
	}
	if detail == "" {
		detail = err.Error()
	}
	e.refuse(ctx, in, outcome, reason, detail)
}

// unrouted keeps an arrival for a graph that has its path and doesn't take it:
// err is of owner.
func (e *Engine) unrouted(ctx context.Context, in *incoming, err error) {
	reason := string(KindOf(err))
	switch {
	case in.route == nil:
		return // no graph's
	case KindOf(err) == Unavailable:
		reason = reasonOff
	}
	e.refuse(ctx, in, ArrivalRefused, reason, err.Error())
}

// refuse keeps an arrival that starts no run, at a bounded rate. That it can't be
// kept holds up nobody.
func (e *Engine) refuse(ctx context.Context, in *incoming, outcome ArrivalOutcome, reason, detail string) {
	if e.o.Inbox == nil {
		return
	}
	missed, ok := e.refused.admits(in.route.graph, in.at)
	if !ok {
		return
	}
	a := e.became(e.arrival(ctx, in), outcome, reason, detail)
	a.Missed = missed
	if in.unread {
		a.Size = -1
	}
	if len(a.Body) > keptRefusedBody {
		a.Body = nil
	}
	if _, err := e.o.Runner.Accept(context.WithoutCancel(ctx), []Acceptance{{Arrival: a}}); err != nil {
		e.o.Log.Debug("a refused event can't be kept", "graph", a.Graph, "error", err)
	}
}

// HookRefused keeps a request that was refused before its body was read, if it is
// for a graph's path; reason is the type of the problem that its sender was told.
func (e *Engine) HookRefused(ctx context.Context, path string, req sdk.WebhookRequest, reason, detail string) {
	r, err := e.owner("receive /hooks/"+path, path, req.Method)
	in := &incoming{route: r, req: &req, at: e.now(), unread: true}
	if err != nil {
		e.unrouted(ctx, in, err)
		return
	}
	outcome := ArrivalRefused
	if reason == string(Unavailable) {
		outcome = ArrivalFailed
	}
	e.refuse(ctx, in, outcome, reason, detail)
}

// Arrivals lists what came in, newest first; for all graphs when the name is
// empty.
func (e *Engine) Arrivals(ctx context.Context, graphName string, q ArrivalQuery) (ArrivalPage, error) {
	if e.o.Inbox == nil {
		return ArrivalPage{}, nil
	}
	if graphName != "" {
		g, err := e.o.Graphs.GraphByName(ctx, graphName)
		if err != nil {
			return ArrivalPage{}, err
		}
		q.Graph = g.ID
	}
	return e.o.Inbox.Arrivals(ctx, q)
}

// Arrival gives something that came in, with its headers and body.
func (e *Engine) Arrival(ctx context.Context, id RunID) (Arrival, error) {
	if e.o.Inbox == nil {
		return Arrival{}, errorf(NotFound, "read event "+id.String(), "there is no such event")
	}
	return e.o.Inbox.Arrival(ctx, id)
}

// Reinject gives something that came in to the newest version of its graph, ON
// or OFF, and starts a run of it whatever became of it before. Whoever asks for
// it vouches for it: signature, credentials, filter and key don't count.
func (e *Engine) Reinject(ctx context.Context, id RunID) (Accepted, error) {
	op := "reinject " + id.String()
	a, err := e.Arrival(ctx, id)
	if err != nil {
		return Accepted{}, err
	}
	if !a.Whole() {
		return Accepted{}, errorf(Conflict, op, "its body wasn't kept: it was longer than is kept, or went into files")
	}
	name := e.GraphNames(ctx, []GraphID{a.Graph})[a.Graph]
	g, err := e.published(ctx, op, name)
	if err != nil {
		return Accepted{}, err
	}
	events := []sdk.Event{{Data: json.RawMessage(a.Body)}}
	if a.Method != "" {
		if events, err = e.again(ctx, op, g, &a); err != nil {
			return Accepted{}, err
		}
	}
	if len(events) == 0 {
		return Accepted{}, errorf(Conflict, op, "the trigger makes no event of it")
	}
	now := e.now()
	as := make([]Acceptance, len(events))
	for i, ev := range events {
		as[i] = Acceptance{
			Run: e.o.IDs.NewRun(), Graph: g.ID, Version: g.Version, Event: ev.Data, At: now,
			Arrival: e.became(&a, ArrivalRun, "reinjected", id.String()),
		}
		as[i].Arrival.At, as[i].Arrival.Missed = now, 0
	}
	acc, err := e.o.Runner.Accept(ctx, as)
	if err != nil {
		return Accepted{}, err
	}
	return acc[0], nil
}

// again gives a kept request to the webhook trigger of a graph's newest version.
func (e *Engine) again(ctx context.Context, op string, g StoredGraph, a *Arrival) ([]sdk.Event, error) {
	v, err := e.compiled(ctx, g.ID, g.Version)
	if err != nil {
		return nil, err
	}
	p := &plan{version: v, prog: v.program}
	var member string
	if p.conn, member, err = v.at(e.o.Connectors, p.prog.Trigger.Use); err != nil {
		return nil, err
	}
	if p.trigger, err = findTrigger(p.conn, p.prog.Trigger.Use, member); err != nil {
		return nil, err
	}
	if p.trigger.Kind != sdk.KindWebhook {
		return nil, errorf(Conflict, op, "the graph's trigger is %s now, which takes no requests", p.prog.Trigger.Use)
	}
	r, err := newRoute(g, p)
	if err != nil {
		return nil, err
	}
	req := sdk.WebhookRequest{Method: a.Method, Path: a.Path, Query: a.Query, Remote: a.Remote, Header: a.Header, Body: a.Body}
	if req.Params, err = r.params(a.Path); err != nil {
		return nil, errorf(Conflict, op, "it came to /hooks/%s, and the trigger's path is %s now", a.Path, r.path)
	}
	res, files, release, err := e.receive(ctx, r, sdk.WebhookCall{Trigger: r.trigger.Name, Config: r.config, Request: req, Trusted: true}, &mask{})
	if err != nil {
		e.discard(ctx, files, release)
		return nil, refusal(op, err)
	}
	if len(files) > 0 {
		e.discard(ctx, files, release)
		return nil, errorf(Conflict, op, "it goes into files, which can't be given in again")
	}
	for _, ev := range res.Events {
		if err := e.checkEvent(r.conn, ev.Data); err != nil {
			return nil, refusal(op, err)
		}
		if problems := e.checkMembers(r.members, ev.Data); len(problems) > 0 {
			return nil, &Error{Kind: Invalid, Op: op, Problems: problems}
		}
	}
	return res.Events, nil
}

// sieved is the arrival of a source's event that starts no run; nil when there
// is no inbox.
func (e *Engine) sieved(g GraphID, ev sdk.Event, at time.Time, why error) *Arrival {
	if e.o.Inbox == nil {
		return nil
	}
	a := &Arrival{ID: e.o.IDs.NewRun(), Graph: g, At: at, Outcome: ArrivalFiltered, Reason: codeFilter, Size: int64(len(ev.Data))}
	if why != nil {
		a.Outcome, a.Detail = ArrivalFailed, clip(why.Error())
	}
	if len(ev.Data) <= e.o.Limits.InboxBody {
		a.Body = ev.Data
	}
	return a
}

// forgetArrivals removes what is over of the inbox.
func (e *Engine) forgetArrivals(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := e.o.Inbox.ForgetArrivals(ctx, e.now().Add(-e.o.Limits.InboxAge), e.o.Limits.InboxEvents, keptRefused, tidyBatch)
		if err != nil || n < tidyBatch {
			return err
		}
	}
	return nil
}
