package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
)

const graphsPath = "/api/v1/graphs"

type graphInput struct {
	Graph string `path:"graph" doc:"The graph's name." example:"task-completed"`
}

// graphRoutes adds the calls of graphs.
func (s *Server) graphRoutes(a rest) {
	one := graphsPath + "/{graph}"
	add(a, s, operation{
		id: "create-graph", method: http.MethodPost, path: graphsPath, tag: tagGraphs,
		summary: "Create a graph", body: documentRequest(),
		more:    "The document gives the name. A draft may have problems: the answer lists them all.",
		answers: map[int]answerDoc{201: {text: "Created.", body: Graph{}, headers: []string{"Location"}}},
		errors:  []int{409, 413, 415},
	}, func(ctx context.Context, _ *struct{}) (*reply, error) {
		src, f, err := s.documentBody(ctx)
		if err != nil {
			return nil, err
		}
		g, err := s.engine.CreateGraph(ctx, src, f)
		if err != nil {
			return nil, err
		}
		return located(http.StatusCreated, graphOf(g), graphsPath+"/"+g.Name)
	})
	add(a, s, operation{
		id: "list-graphs", method: http.MethodGet, path: graphsPath, tag: tagGraphs,
		summary: "List graphs", more: "By name.",
		answers: map[int]answerDoc{200: {text: "One page.", body: List[GraphSummary]{}}},
	}, s.listGraphs)
	add(a, s, operation{
		id: "get-graph", method: http.MethodGet, path: one, tag: tagGraphs,
		summary: "Get a graph, or its document",
		more: "Gives the graph with its draft. With draft or version the answer is that document alone, and so it is " +
			"with Accept: application/yaml. A draft is given in its own format as it was written, comments and all.",
		answers: map[int]answerDoc{200: {text: "The graph, or a document.", body: Graph{}, document: true}},
		errors:  []int{404},
	}, s.getGraph)
	add(a, s, operation{
		id: "delete-graph", method: http.MethodDelete, path: one, tag: tagGraphs,
		summary: "Delete a graph",
		more:    "Refused while it is ON, and while runs are open unless force is given. Its runs stay.",
		answers: map[int]answerDoc{204: {text: "Deleted."}},
		errors:  []int{404, 409},
	}, func(ctx context.Context, in *struct {
		Graph string `path:"graph" doc:"The graph's name." example:"task-completed"`
		Force bool   `query:"force" doc:"Delete it although runs are open; they go on to their end." example:"false"`
	},
	) (*reply, error) {
		if err := s.engine.DeleteGraph(ctx, in.Graph, in.Force || bare(ctx, "force")); err != nil {
			return nil, err
		}
		return &reply{Status: http.StatusNoContent}, nil
	})
	add(a, s, operation{
		id: "put-draft", method: http.MethodPut, path: one + "/draft", tag: tagGraphs,
		summary: "Replace the draft", body: documentRequest(),
		more: "A draft may have problems: the answer lists them all. A document with another name renames the graph. " +
			"What is published stays as it is.",
		answers: map[int]answerDoc{200: {text: "The graph with its new draft.", body: Graph{}}},
		errors:  []int{404, 409, 413, 415},
	}, func(ctx context.Context, in *graphInput) (*reply, error) {
		src, f, err := s.documentBody(ctx)
		if err != nil {
			return nil, err
		}
		g, err := s.engine.PutDraft(ctx, in.Graph, src, f)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, graphOf(g))
	})
	s.validateRoutes(a)
	s.versionRoutes(a)
	s.switchRoutes(a)
	s.stepTestRoutes(a)
}

func (s *Server) validateRoutes(a rest) {
	add(a, s, operation{
		id: "validate-document", method: http.MethodPost, path: graphsPath + "/validate", tag: tagGraphs,
		summary: "Validate a document", body: documentRequest(), more: "Nothing is stored.",
		answers: map[int]answerDoc{200: {text: "All that is wrong, and the types that were inferred.", body: Validation{}}},
		errors:  []int{413, 415},
	}, func(ctx context.Context, _ *struct{}) (*reply, error) {
		src, f, err := s.documentBody(ctx)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, validationOf(nameIn(src, f), s.engine.Validate(ctx, src, f)))
	})
	add(a, s, operation{
		id: "validate-draft", method: http.MethodPost, path: graphsPath + "/{graph}/validate", tag: tagGraphs,
		summary: "Validate the draft", body: sampleRequest(),
		more: "What publishing would find now. With a sample event, in the body or of the newest run, what the trigger's " +
			"schema leaves open is inferred from it; what that makes a problem is a warning.",
		answers: map[int]answerDoc{200: {text: "All that is wrong, and the types that were inferred.", body: Validation{}}},
		errors:  []int{404, 413, 415},
	}, func(ctx context.Context, in *struct {
		Graph  string `path:"graph" doc:"The graph's name." example:"task-completed"`
		Sample string `query:"sample" enum:"last" doc:"The sample is the event of the graph's newest run." example:"last"`
	},
	) (*reply, error) {
		sample, err := s.sampleBody(ctx)
		if err != nil {
			return nil, err
		}
		sample.Last = in.Sample == "last"
		if sample.Last && sample.Event != nil {
			return nil, invalidParameter("sample", "give either a sample in the body or sample=last")
		}
		v, err := s.engine.ValidateDraft(ctx, in.Graph, sample)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, validationOf(in.Graph, v))
	})
}

func (s *Server) versionRoutes(a rest) {
	versions := graphsPath + "/{graph}/versions"
	add(a, s, operation{
		id: "publish-graph", method: http.MethodPost, path: graphsPath + "/{graph}/publish", tag: tagGraphs,
		summary: "Publish the draft",
		more: "Makes an immutable version of it; when the newest version is the same, that one is the answer. " +
			"A graph that is ON goes over to it for new runs.",
		answers: map[int]answerDoc{200: {text: "The version.", body: GraphVersion{}, headers: []string{"Location"}}},
		errors:  []int{404, 409},
	}, func(ctx context.Context, in *graphInput) (*reply, error) {
		v, err := s.engine.Publish(ctx, in.Graph)
		if err != nil {
			return nil, err
		}
		return located(http.StatusOK, versionOf(v), graphsPath+"/"+in.Graph+"/versions/"+strconv.Itoa(v.Number))
	})
	add(a, s, operation{
		id: "list-versions", method: http.MethodGet, path: versions, tag: tagGraphs,
		summary: "List versions", more: "Newest first, without their documents.",
		answers: map[int]answerDoc{200: {text: "All versions, on one page.", body: List[VersionSummary]{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *graphInput) (*reply, error) {
		vs, err := s.engine.Versions(ctx, in.Graph)
		if err != nil {
			return nil, err
		}
		page := List[VersionSummary]{Items: make([]VersionSummary, len(vs))}
		for i, v := range vs {
			page.Items[i] = versionSummaryOf(v)
		}
		return jsonReply(http.StatusOK, page)
	})
	add(a, s, operation{
		id: "get-version", method: http.MethodGet, path: versions + "/{version}", tag: tagGraphs,
		summary: "Get a version", more: "With its document.",
		answers: map[int]answerDoc{200: {text: "The version.", body: GraphVersion{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *struct {
		Graph   string `path:"graph" doc:"The graph's name." example:"task-completed"`
		Version int    `path:"version" minimum:"1" doc:"The version's number." example:"3"`
	},
	) (*reply, error) {
		v, err := s.engine.Version(ctx, in.Graph, in.Version)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, versionOf(v))
	})
}

func (s *Server) switchRoutes(a rest) {
	add(a, s, operation{
		id: "activate-graph", method: http.MethodPost, path: graphsPath + "/{graph}/activate", tag: tagGraphs,
		summary: "Turn a graph ON",
		more:    "In one transaction: when a part fails, nothing is changed, and the problem's checks name what failed.",
		answers: map[int]answerDoc{200: {text: "It is ON.", body: Activation{}}},
		errors:  []int{404, 409},
	}, func(ctx context.Context, in *graphInput) (*reply, error) {
		r, err := s.engine.Activate(ctx, in.Graph)
		if err != nil {
			p := s.problem(callOf(ctx), err)
			if p.Status == http.StatusConflict {
				q := *p
				q.Checks = checksOf(r.Checks)
				p = &q
			}
			return nil, p
		}
		return jsonReply(http.StatusOK, activationOf(true, r))
	})
	add(a, s, operation{
		id: "deactivate-graph", method: http.MethodPost, path: graphsPath + "/{graph}/deactivate", tag: tagGraphs,
		summary: "Turn a graph OFF", more: "Its trigger stops at once; runs that are open go on to their end.",
		answers: map[int]answerDoc{200: {text: "It is OFF.", body: Activation{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *graphInput) (*reply, error) {
		if err := s.engine.Deactivate(ctx, in.Graph); err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, activationOf(false, engine.Readiness{}))
	})
}

func (s *Server) listGraphs(ctx context.Context, in *struct {
	Query  string `query:"q" maxLength:"200" doc:"Only graphs with this text in name or description, in any case." example:"task"`
	Active string `query:"active" enum:"true,false" doc:"Only graphs that are ON, or OFF." example:"true"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many to give at most." example:"50"`
	Cursor string `query:"cursor" maxLength:"1000" doc:"The next_cursor of the page before."`
},
) (*reply, error) {
	q := engine.GraphQuery{Text: in.Query, Limit: in.Limit, Cursor: in.Cursor}
	if in.Active != "" {
		on := in.Active == "true"
		q.Active = &on
	}
	gs, next, err := s.engine.Graphs(ctx, q)
	if err != nil {
		return nil, err
	}
	page := List[GraphSummary]{Items: make([]GraphSummary, len(gs)), NextCursor: next}
	for i, g := range gs {
		page.Items[i] = summaryOf(g)
	}
	return jsonReply(http.StatusOK, page)
}

func (s *Server) getGraph(ctx context.Context, in *struct {
	Graph   string `path:"graph" doc:"The graph's name." example:"task-completed"`
	Draft   bool   `query:"draft" doc:"Give the draft's document alone." example:"false"`
	Version int    `query:"version" minimum:"1" doc:"Give the document of this version alone." example:"3"`
	Accept  string `header:"Accept" hidden:"true"`
},
) (*reply, error) {
	to := graph.JSON
	if wantsYAML(in.Accept) {
		to = graph.YAML
	}
	draft := in.Draft || bare(ctx, "draft")
	switch {
	case in.Version > 0 && draft:
		return nil, invalidParameter("version", "give either draft or version")
	case in.Version > 0:
		v, err := s.engine.Version(ctx, in.Graph, in.Version)
		if err != nil {
			return nil, err
		}
		return documentReply(v.Document, graph.JSON, to)
	}
	g, err := s.engine.Graph(ctx, in.Graph)
	if err != nil {
		return nil, err
	}
	if draft || to == graph.YAML {
		return documentReply(g.Draft, g.DraftFormat, to)
	}
	r, err := jsonReply(http.StatusOK, graphOf(g))
	if err == nil {
		r.Vary = "Accept"
	}
	return r, err
}

func documentReply(src []byte, from, to graph.Format) (*reply, error) {
	b, err := convert(src, from, to)
	if err != nil {
		return nil, err
	}
	name := jsonType
	if to == graph.YAML {
		name = yamlType
	}
	return &reply{Status: http.StatusOK, ContentType: name, Vary: "Accept", Body: append(b, '\n')}, nil
}

// nameIn gives the name that a document gives.
func nameIn(src []byte, f graph.Format) string {
	doc, _ := graph.Parse(src, f, graph.Limits{}) // the engine tells the problems
	if doc == nil {
		return ""
	}
	return doc.Name
}

func located(status int, v any, path string) (*reply, error) {
	r, err := jsonReply(status, v)
	if err == nil {
		r.Location = path
	}
	return r, err
}

// bare says whether a query parameter is there without a value: ?force.
func bare(ctx context.Context, name string) bool {
	v, ok := callOf(ctx).r.URL.Query()[name]
	return ok && v[0] == ""
}

// wantsYAML says whether Accept (RFC 9110, 12.5.1) prefers YAML to JSON; on a
// tie the one that is named first wins.
func wantsYAML(accept string) bool {
	yaml, best := false, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		q := 1.0
		for p := range strings.SplitSeq(params, ";") {
			if k, v, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(k, "q") {
				q, _ = strconv.ParseFloat(v, 64) // what isn't a number is 0: not wanted
			}
		}
		if q <= best {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case yamlType, "application/x-yaml", "text/yaml", "text/x-yaml":
			yaml, best = true, q
		case jsonType, "application/*", "*/*":
			yaml, best = false, q
		}
	}
	return yaml
}
