package api

import (
	"context"
	"net/http"
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
	}, func(_ context.Context, in *struct {
		Connector string `path:"connector" doc:"The connector's name." example:"http"`
	},
	) (*reply, error) {
		c, err := s.engine.Connector(in.Connector)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, connectorOf(c))
	})
}
