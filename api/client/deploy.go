package client

import (
	"context"
	"errors"
	"net/http"
)

// Deploy brings the graph of a name to what a document, which bears that name,
// says, and turns it ON: created or changed, published, activated. Done again
// it changes nothing.
func (c *Client) Deploy(ctx context.Context, name string, src []byte, f Format) (Graph, error) {
	g, err := c.CreateGraph(ctx, src, f)
	var p *Problem
	if errors.As(err, &p) && p.Status == http.StatusConflict {
		g, err = c.PutDraft(ctx, name, src, f)
	}
	if err != nil {
		return g, err
	}
	if _, err := c.Publish(ctx, g.Name); err != nil {
		return g, err
	}
	a, err := c.Activate(ctx, g.Name)
	g.Active, g.Ready, g.Checks = a.Active, a.Ready, a.Checks
	return g, err
}
