package api

import (
	"context"
	"net/http"

	"github.com/tappet-dev/tappet/engine"
)

// connectorRoutes adds the calls of connectors.
func (s *Server) connectorRoutes(a rest) {
	add(a, s, operation{
		id: "list-connectors", method: http.MethodGet, path: "/api/v1/connectors", tag: tagConnectors,
		summary: "List connectors", more: "Built-in ones and plugins, by name.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page.", body: List[ConnectorSummary]{}}},
	}, func(_ context.Context, in *struct {
		Query string `query:"q" maxLength:"200" doc:"Only those with this text in a name, title or description, in any case." example:"http"`
	},
	) (*reply, error) {
		found := s.engine.Connectors(in.Query)
		page := List[ConnectorSummary]{Items: make([]ConnectorSummary, len(found))}
		for i, c := range found {
			page.Items[i] = connectorSummaryOf(c)
		}
		return jsonReply(http.StatusOK, page)
	})
	add(a, s, operation{
		id: "get-connector", method: http.MethodGet, path: "/api/v1/connectors/{connector}", tag: tagConnectors,
		summary: "Get a connector", more: "With the schemas of all that it takes and gives.",
		answers: map[int]answerDoc{200: {text: "The connector.", body: Connector{}}},
		errors:  []int{404},
	}, func(_ context.Context, in *ConnectorPath) (*reply, error) {
		c, err := s.engine.Connector(in.Connector)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, connectorOf(c))
	})
	s.connectorProbes(a)
}

// ConnectorPath is the parameter that names a connector in a path.
type ConnectorPath struct {
	Connector string `path:"connector" doc:"The connector's name." example:"http"`
}

// connectorProbes adds the calls that ask the outside world for a form.
func (s *Server) connectorProbes(a rest) {
	add(a, s, operation{
		id: "check-connector-config", method: http.MethodPost, path: "/api/v1/connectors/{connector}/check", tag: tagConnectors,
		summary: "Try a config with a connector",
		more: "Such as whether a service is there and takes the credentials. A config that doesn't work is answered with 200, " +
			"too: that is what was asked for. It takes at most 10 seconds.",
		body:    a.jsonRequest("The config to try.", CheckRequest{}),
		answers: map[int]answerDoc{200: {text: "Whether it works, or what is wrong with it.", body: CheckResult{}}},
		errors:  []int{404, 413, 415},
	}, func(ctx context.Context, path *ConnectorPath) (*reply, error) {
		var in CheckRequest
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, err
		}
		out, err := s.engine.CheckConfig(ctx, path.Connector, in.Config)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, CheckResult{OK: out.OK, Kind: string(out.Kind), Message: out.Message})
	})
	add(a, s, operation{
		id: "list-connector-options", method: http.MethodPost, path: "/api/v1/connectors/{connector}/options", tag: tagConnectors,
		summary: "List the values that a field may have",
		more: "As the service has them now, at most 1,000 of them and within 10 seconds. The field's schema names its options; " +
			"either that name is given, or the trigger or action and the field.",
		body:    a.jsonRequest("Whose values are wanted, and what was filled in so far.", OptionsRequest{}),
		answers: map[int]answerDoc{200: {text: "The values, on one page.", body: List[Option]{}}},
		errors:  []int{404, 413, 415},
	}, func(ctx context.Context, path *ConnectorPath) (*reply, error) {
		var in OptionsRequest
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, err
		}
		if byName := in.Options != ""; byName == (in.Part != "") || byName == (in.Field != "") {
			return nil, invalid("parameter", "give options, or part and field")
		}
		found, err := s.engine.ChooseOptions(ctx, path.Connector, engine.Choosing(in))
		if err != nil {
			return nil, err
		}
		page := List[Option]{Items: make([]Option, len(found))}
		for i, o := range found {
			page.Items[i] = Option(o)
		}
		return jsonReply(http.StatusOK, page)
	})
}
