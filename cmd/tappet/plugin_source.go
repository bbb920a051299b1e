package main

import (
	"context"
	"errors"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/plugins/oci"
	"github.com/tappet-dev/tappet/sdk"
)

// newImages makes what fetches plugins from registries, over a transport of its
// own: a plugin is larger than what a connector may receive. The guard is the
// same.
func newImages(allow egress.Allow, authFile string) (*oci.Registry, *egress.Client) {
	c := egress.New(egress.Options{Allow: allow, Limits: egress.Limits{ResponseBody: mostPlugin}})
	return oci.NewRegistry(func(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
		return c.Do(ctx, r, nil)
	}, oci.RegistryOptions{AuthFile: authFile}), c
}

// FetchPlugin implements api.Plugins.
func (r *registry) FetchPlugin(ctx context.Context, reference string, most int64) ([]byte, string, error) {
	const op = "install plugin"
	if r.images == nil {
		return nil, "", &engine.Error{Kind: engine.Unavailable, Op: op, Err: errors.New("this server fetches no plugins")}
	}
	b, pinned, err := r.images.Fetch(ctx, reference, most)
	return b, pinned, pluginError(op, err)
}

// UnpackPlugin implements api.Plugins.
func (r *registry) UnpackPlugin(ctx context.Context, layout []byte, tag string, most int64) ([]byte, error) {
	b, err := oci.ReadTar(ctx, layout, oci.Options{Tag: tag, Limit: most})
	return b, pluginError("install plugin", err)
}
