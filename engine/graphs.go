package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// CreateGraph stores a new graph; its name is the document's. The draft may
// have problems (Graph.Problems), as long as it can be read and has a name.
// Errors are of kind Invalid, with all problems, or Conflict when the name is
// taken.
func (e *Engine) CreateGraph(ctx context.Context, src []byte, f graph.Format) (Graph, error) {
	const op = "create graph"
	doc, problems, err := e.readDraft(ctx, op, src, f, 0)
	if err != nil {
		return Graph{}, err
	}
	now := e.now()
	g := StoredGraph{
		Name: doc.Name, Description: doc.Description, Labels: doc.Labels,
		Draft: src, DraftFormat: f, CreatedAt: now, UpdatedAt: now,
	}
	if g.ID, err = e.o.Graphs.CreateGraph(ctx, g); err != nil {
		return Graph{}, err
	}
	return Graph{StoredGraph: g, Problems: problems}, nil
}

// PutDraft replaces a graph's draft. A document with another name renames the
// graph; its runs stay with it.
func (e *Engine) PutDraft(ctx context.Context, name string, src []byte, f graph.Format) (Graph, error) {
	op := "save draft of " + name
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return Graph{}, err
	}
	doc, problems, err := e.readDraft(ctx, op, src, f, g.ID)
	if err != nil {
		return Graph{}, err
	}
	g.Name, g.Description, g.Labels = doc.Name, doc.Description, doc.Labels
	g.Draft, g.DraftFormat, g.UpdatedAt = src, f, e.now()
	if err := e.o.Graphs.UpdateGraph(ctx, g); err != nil {
		return Graph{}, err
	}
	return Graph{StoredGraph: g, Problems: problems, Readiness: e.readiness(ctx, g)}, nil
}

// readDraft reads a document that is to be stored, for a graph that isn't new.
func (e *Engine) readDraft(ctx context.Context, op string, src []byte, f graph.Format, self GraphID) (*graph.Document, []Problem, error) {
	doc, problems := graph.Parse(src, f, e.o.Limits.Document)
	if doc == nil {
		return nil, nil, &Error{Kind: Invalid, Op: op, Problems: problems}
	}
	for _, p := range problems {
		if p.Pointer == "/name" {
			return nil, nil, &Error{Kind: Invalid, Op: op, Problems: problems}
		}
	}
	if doc.Name == "" {
		return nil, nil, &Error{Kind: Invalid, Op: op, Problems: append(problems, Problem{
			Pointer: "/name", Code: "required", Message: "a graph needs a name", Suggestion: "add one, such as name: new-orders",
		})}
	}
	cat := e.live(ctx)
	_, more := program.Build(doc, cat)
	problems = append(problems, more...)
	return doc, append(problems, e.warnOfPath(ctx, doc, cat, self)...), nil
}

// Graph gives a graph with its draft's problems and, when it is ON, its
// readiness.
func (e *Engine) Graph(ctx context.Context, name string) (Graph, error) {
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return Graph{}, err
	}
	v := e.Validate(ctx, g.Draft, g.DraftFormat)
	return Graph{StoredGraph: g, Problems: v.Problems, Readiness: e.readiness(ctx, g)}, nil
}

// Graphs lists graphs by name, and gives the next page's cursor.
func (e *Engine) Graphs(ctx context.Context, q GraphQuery) ([]Graph, string, error) {
	page, err := e.o.Graphs.Graphs(ctx, q)
	if err != nil {
		return nil, "", err
	}
	out := make([]Graph, len(page.Graphs))
	for i, g := range page.Graphs {
		out[i] = Graph{StoredGraph: g, Readiness: e.readiness(ctx, g)}
	}
	return out, page.Next, nil
}

// DeleteGraph deletes a graph that is OFF; its runs and versions stay in
// history. While runs are open it is refused, unless force: then they are
// cancelled.
func (e *Engine) DeleteGraph(ctx context.Context, name string, force bool) error {
	op := "delete graph " + name
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return err
	}
	if g.Active && !force {
		return &Error{Kind: Conflict, Op: op, Problems: []Problem{{
			Code: "active", Message: "the graph is ON", Suggestion: "turn it OFF first (POST …/deactivate), or use ?force=true",
		}}}
	}
	if g.Active {
		if err := e.Deactivate(ctx, name); err != nil {
			return err
		}
	}
	open := RunQuery{Graph: g.ID, States: []machine.State{machine.Queued, machine.Running, machine.Waiting}, Limit: 200}
	page, err := e.o.Runner.Runs(ctx, open)
	if err != nil {
		return err
	}
	if len(page.Runs) > 0 && !force {
		return &Error{Kind: Conflict, Op: op, Problems: []Problem{{
			Code: "runs_open", Message: fmt.Sprintf("the graph has open runs, %s among them", page.Runs[0].ID),
			Suggestion: "wait for them, cancel them, or use ?force=true, which cancels them",
		}}}
	}
	for len(page.Runs) > 0 {
		for _, r := range page.Runs {
			if err := e.CancelRun(ctx, r.ID); err != nil {
				return err
			}
		}
		if open.Cursor = page.Next; open.Cursor == "" {
			break
		}
		if page, err = e.o.Runner.Runs(ctx, open); err != nil {
			return err
		}
	}
	return e.o.Graphs.DeleteGraph(ctx, g.ID, e.now())
}

// Validate tells all that is wrong with a document, and the types inferred.
func (e *Engine) Validate(ctx context.Context, src []byte, f graph.Format) Validation {
	return e.validate(ctx, src, f, nil)
}

func hasErrors(ps []Problem) bool {
	for _, p := range ps {
		if !p.Warning {
			return true
		}
	}
	return false
}

// Publish makes the draft an immutable version. A draft with problems is
// refused (Invalid). A draft that says what the newest version says gives that
// version again. An active graph goes on with the new version at once; runs
// that have begun keep theirs.
func (e *Engine) Publish(ctx context.Context, name string) (Version, error) {
	op := "publish " + name
	e.upgrading.RLock()
	defer e.upgrading.RUnlock()
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return Version{}, err
	}
	doc, problems := graph.Parse(g.Draft, g.DraftFormat, e.o.Limits.Document)
	if doc == nil {
		return Version{}, &Error{Kind: Invalid, Op: op, Problems: problems}
	}
	cat := e.live(ctx)
	_, more := program.Build(doc, cat)
	if problems = append(problems, more...); hasErrors(problems) {
		return Version{}, &Error{Kind: Invalid, Op: op, Problems: problems}
	}
	v := Version{
		Graph: g.ID, Document: doc.JSON(), Digest: doc.Digest(), Evaluator: expr.Version,
		Specs: cat.specs, PublishedAt: e.now(),
	}
	if g.Version > 0 {
		old, err := e.o.Versions.Version(ctx, g.ID, g.Version)
		if err != nil {
			return Version{}, err
		}
		if old.Digest == v.Digest && old.Evaluator == v.Evaluator && sameSpecs(old.Specs, v.Specs) {
			return old, nil
		}
	}
	if v.Number, err = e.o.Versions.AddVersion(ctx, v); err != nil {
		return Version{}, err
	}
	if g.Active {
		g.Version = v.Number
		e.rebind(ctx, g.ID)
	}
	return v, nil
}

func sameSpecs(a, b Specs) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(x) == string(y)
}

// Versions lists a graph's versions, newest first, without documents.
func (e *Engine) Versions(ctx context.Context, name string) ([]Version, error) {
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return nil, err
	}
	return e.o.Versions.Versions(ctx, g.ID)
}

// Version gives one version of a graph.
func (e *Engine) Version(ctx context.Context, name string, number int) (Version, error) {
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return Version{}, err
	}
	return e.o.Versions.Version(ctx, g.ID, number)
}

// GraphNames gives the names of graphs, deleted ones too.
func (e *Engine) GraphNames(ctx context.Context, ids []GraphID) map[GraphID]string {
	out := make(map[GraphID]string, len(ids))
	for _, id := range ids {
		if _, ok := out[id]; ok {
			continue
		}
		if g, err := e.o.Graphs.GraphByID(ctx, id); err == nil {
			out[id] = g.Name
		}
	}
	return out
}

func (e *Engine) now() time.Time { return e.o.Clock.Now().Truncate(time.Millisecond) }

// published loads a graph that has a version.
func (e *Engine) published(ctx context.Context, op, name string) (StoredGraph, error) {
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return g, err
	}
	if g.Version == 0 {
		return g, &Error{Kind: Conflict, Op: op, Err: errors.New("nothing is published"), Problems: []Problem{{
			Code: "not_published", Message: "the graph has no published version", Suggestion: "publish it first (POST …/publish)",
		}}}
	}
	return g, nil
}
