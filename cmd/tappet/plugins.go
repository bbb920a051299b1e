package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

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
		Usage: api.PluginUsage{
			Calls: p.Usage.Calls, Failures: p.Usage.Failures, Restarts: p.Usage.Restarts, CPU: p.Usage.CPU, Memory: p.Usage.Memory,
		},
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
func (r *registry) PluginLogs(name string, after uint64) ([]api.PluginLine, error) {
	if _, err := r.Plugin(name); err != nil {
		return nil, err
	}
	lines := r.plugins.Logs(name)
	if n := len(lines); n > 0 && lines[n-1].Number < after {
		after = 0
	}
	var out []api.PluginLine
	for _, l := range lines {
		if l.Number > after {
			out = append(out, api.PluginLine{Number: l.Number, At: l.At, Level: string(l.Level), Text: l.Text})
		}
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
func (k candidate) Commit(publish func() error) error {
	return pluginError("install plugin", k.of.Upgrade(publish))
}

// Close implements api.PluginCandidate.
func (k candidate) Close() error { return pluginError("give plugin up", k.of.Close()) }

// An upgrader decides about candidates that nobody asked for: files of the
// plugins folder that have changed, and upgrades that were cut short.
type upgrader struct {
	// started closes when engine runs; no candidate is looked at before.
	started chan struct{}
	engine  *engine.Engine
	log     *slog.Logger
}

// upgrade is plugins.Options.Upgrade: it takes what breaks no graph that is ON,
// and what was decided already.
func (u *upgrader) upgrade(ctx context.Context, k *plugins.Candidate) error {
	select {
	case <-u.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	of := candidate{k}
	c := of.Connector()
	impact, err := u.engine.Impact(ctx, c)
	if err != nil {
		return err
	}
	log := u.log.With("plugin", c.Name, "version", c.Version, "digest", c.Digest)
	for _, x := range impact.Changes {
		log.Info("a plugin's field has changed", "part", x.Part, "field", x.Field, "change", x.Change, "from", x.From, "to", x.To)
	}
	for _, g := range impact.Graphs {
		log.Info("what a plugin's change does to a graph", "graph", g.Graph, "active", g.Active, "effect", g.Effect, "problems", g.Problems)
	}
	if broken := breaking(impact); broken != "" && !k.Unfinished() {
		return fmt.Errorf("the file has changed and breaks graphs that are ON: %s; what was accepted serves on: "+
			"change the file or the graphs, or accept it: tappet plugin accept %s --force", broken, c.Name)
	}
	republished, err := u.engine.Upgrade(ctx, c, of.Commit)
	if err == nil {
		log.Info("a plugin was upgraded", "unfinished", k.Unfinished(), "republished", republished)
	}
	return err
}

// breaking names the active graphs that an upgrade breaks, each with a reason; ""
// if there is none.
func breaking(impact engine.Impact) string {
	const most = 5
	var out []string
	for _, g := range impact.Graphs {
		if !g.Active || g.Effect != engine.Breaks {
			continue
		}
		if len(out) == most {
			return fmt.Sprintf("%s and %d more", strings.Join(out, "; "), len(impact.Breaking())-most)
		}
		out = append(out, fmt.Sprintf("%s (%s)", g.Graph, g.Problems[0].Message))
	}
	return strings.Join(out, "; ")
}
