package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/sdk"
)

var _ api.Plugins = (*registry)(nil)

// Plugins implements api.Plugins.
func (r *registry) Plugins() []api.PluginInfo {
	list := r.plugins.List()
	out := make([]api.PluginInfo, len(list))
	for i, p := range list {
		out[i] = pluginInfo(p)
	}
	return out
}

func pluginInfo(p plugins.Info) api.PluginInfo {
	out := api.PluginInfo{
		Name: p.Name, File: p.File, Kind: string(p.Kind), Digest: p.Digest, Version: p.Version,
		State: string(p.Health.State), Reason: p.Health.Reason, Since: p.Health.Since,
		Crashes: p.Health.Crashes, Refused: p.Health.Refused, Refusal: p.Health.Refusal,
		Needs: p.Needs,
	}
	for i := range p.Triggers {
		out.Triggers = append(out.Triggers, p.Triggers[i].Name)
	}
	for i := range p.Actions {
		out.Actions = append(out.Actions, p.Actions[i].Name)
	}
	for _, v := range p.Previous {
		out.Previous = append(out.Previous, api.PluginVersion{Digest: v.Digest, Version: v.Version, At: v.At})
	}
	return out
}

// Plugin implements api.Plugins.
func (r *registry) Plugin(name string) (api.PluginInfo, error) {
	i, ok := r.plugins.Info(name)
	if !ok {
		return api.PluginInfo{}, pluginError("read plugin", fmt.Errorf("%w: %.100q", plugins.ErrUnknown, name))
	}
	return pluginInfo(i), nil
}

// PluginLogs implements api.Plugins.
func (r *registry) PluginLogs(name string) ([]api.PluginLine, error) {
	if _, err := r.Plugin(name); err != nil {
		return nil, err
	}
	var out []api.PluginLine
	for _, l := range r.plugins.Logs(name) {
		out = append(out, api.PluginLine{At: l.At, Level: string(l.Level), Text: l.Text})
	}
	return out, nil
}

// pluginError gives an error of package plugins a kind that the API knows.
func pluginError(op string, err error) error {
	if err == nil {
		return nil
	}
	kind := engine.Internal
	switch {
	case errors.Is(err, plugins.ErrUnknown):
		kind = engine.NotFound
	case errors.Is(err, plugins.ErrConflict):
		kind = engine.Conflict
	default:
		if _, ok := errors.AsType[*sdk.Error](err); !ok {
			break // of the disk, say
		}
		switch sdk.KindOf(err) {
		case sdk.TooLarge:
			kind = engine.TooLarge
		case sdk.Unavailable, sdk.Cancelled:
			kind = engine.Unavailable
		case sdk.Invalid, sdk.Broken, sdk.Timeout, sdk.Denied, sdk.Failed, sdk.Panicked, sdk.Unsupported,
			sdk.Unauthorized, sdk.NotFound, sdk.RateLimited, sdk.Unknown:
			kind = engine.Invalid // the artefact's own doing
		}
	}
	return &engine.Error{Kind: kind, Op: op, Err: err}
}

// StagePlugin implements api.Plugins.
func (r *registry) StagePlugin(ctx context.Context, artefact []byte, digest string) (api.PluginCandidate, error) {
	return staged(r.plugins.Stage(ctx, artefact, digest))
}

// StagePluginFile implements api.Plugins.
func (r *registry) StagePluginFile(ctx context.Context, name string) (api.PluginCandidate, error) {
	return staged(r.plugins.StageFile(ctx, name))
}

// StagePluginBefore implements api.Plugins.
func (r *registry) StagePluginBefore(ctx context.Context, name string) (api.PluginCandidate, error) {
	return staged(r.plugins.StageBefore(ctx, name))
}

// EnablePlugin implements api.Plugins.
func (r *registry) EnablePlugin(name string) error {
	return pluginError("enable plugin", r.plugins.Enable(name))
}

// DisablePlugin implements api.Plugins.
func (r *registry) DisablePlugin(name string) error {
	return pluginError("disable plugin", r.plugins.Disable(name))
}

// RemovePlugin implements api.Plugins.
func (r *registry) RemovePlugin(name string) error {
	return pluginError("remove plugin", r.plugins.Remove(name))
}

// A candidate is a plugin's candidate as the API sees it.
type candidate struct{ of *plugins.Candidate }

var _ api.PluginCandidate = candidate{}

func staged(k *plugins.Candidate, err error) (api.PluginCandidate, error) {
	if err != nil {
		return nil, pluginError("install plugin", err)
	}
	return candidate{k}, nil
}

// Info implements api.PluginCandidate.
func (k candidate) Info() api.PluginInfo {
	i := pluginInfo(k.of.Info())
	i.State = string(plugins.Loading)
	return i
}

// Connector implements api.PluginCandidate.
func (k candidate) Connector() engine.Connector {
	c, i := k.of.Connector(), k.of.Info()
	return engine.Connector{Connector: &c, Origin: string(i.Kind), Digest: i.Digest}
}

// Ungranted implements api.PluginCandidate.
func (k candidate) Ungranted() sdk.Needs { return k.of.Ungranted() }

// Commit implements api.PluginCandidate.
func (k candidate) Commit() error { return pluginError("install plugin", k.of.Commit()) }

// Close implements api.PluginCandidate.
func (k candidate) Close() error { return pluginError("give plugin up", k.of.Close()) }
