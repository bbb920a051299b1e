package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	jsonType    = "application/json"
	programType = "application/octet-stream"
)

// A Plugin is one plugin file and how it is.
type Plugin struct {
	Name     string          `json:"name"`
	File     string          `json:"file"`
	Kind     string          `json:"kind"`
	Version  string          `json:"version"`
	Digest   string          `json:"digest"`
	Health   Health          `json:"health"`
	Usage    PluginUsage     `json:"usage"`
	Needs    Needs           `json:"needs"`
	Triggers []string        `json:"triggers"`
	Actions  []string        `json:"actions"`
	Previous []PluginRelease `json:"previous"`
}

// PluginUsage is what a plugin has used since it was loaded: CPU is a time such
// as "1.2s", Memory what it holds now, in bytes.
type PluginUsage struct {
	Calls    uint64 `json:"calls"`
	Failures uint64 `json:"failures"`
	Restarts uint64 `json:"restarts"`
	CPU      string `json:"cpu"`
	Memory   int64  `json:"memory"`
}

// Health is how a plugin is: State is "ready", "loading", "failed", "held",
// "disabled" or "quarantined".
type Health struct {
	State   string     `json:"state"`
	Reason  string     `json:"reason"`
	Since   *time.Time `json:"since"`
	Crashes int        `json:"crashes"`
	Refused int        `json:"refused"`
	Refusal string     `json:"refusal"`
}

// A PluginRelease is a release of a plugin that was accepted.
type PluginRelease struct {
	Version    string     `json:"version"`
	Digest     string     `json:"digest"`
	AcceptedAt *time.Time `json:"accepted_at"`
}

// A PluginUse is a graph that uses a plugin.
type PluginUse struct {
	Graph   string `json:"graph"`
	Version int    `json:"version"`
	Active  bool   `json:"active"`
}

// A PluginLog is one line of a plugin's log.
type PluginLog struct {
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	Level  string    `json:"level"`
	Text   string    `json:"text"`
}

// A PluginInstall is what an install did or would do.
type PluginInstall struct {
	Plugin      Plugin       `json:"plugin"`
	Reference   string       `json:"reference"`
	Installed   bool         `json:"installed"`
	Needs       Needs        `json:"needs"`
	Impact      PluginImpact `json:"impact"`
	Republished []string     `json:"republished"`
}

// A PluginImpact is what another version of a plugin changes.
type PluginImpact struct {
	Changes []PluginChange `json:"changes"`
	Graphs  []GraphImpact  `json:"graphs"`
}

// A PluginChange is one difference in what a plugin offers.
type PluginChange struct {
	Part   string `json:"part"`
	Field  string `json:"field"`
	Change string `json:"change"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// A GraphImpact is what becomes of one graph: Effect is "same", "gains",
// "changes" or "breaks".
type GraphImpact struct {
	PluginUse
	Effect   string         `json:"effect"`
	Problems []ProblemError `json:"problems"`
}

// InstallOptions say how far an install may go.
type InstallOptions struct {
	// Grant what the plugin needs beyond what was granted.
	Grant bool
	// Force goes on though active graphs break.
	Force bool
	// DryRun changes nothing and tells what would be.
	DryRun bool
	// Digest is the SHA-256 that the file must have, in hex; "" takes any.
	Digest string
}

func (o InstallOptions) query() url.Values {
	v := url.Values{}
	for name, on := range map[string]bool{"grant": o.Grant, "force": o.Force, "dry_run": o.DryRun} {
		if on {
			v.Set(name, "true")
		}
	}
	set(v, "digest", o.Digest)
	return v
}

// Plugins lists the plugin files, those that failed too.
func (c *Client) Plugins(ctx context.Context) ([]Plugin, error) {
	p, err := get[Page[Plugin]](ctx, c, nil, "plugins")
	return p.Items, err
}

// Plugin gives a plugin with its health.
func (c *Client) Plugin(ctx context.Context, name string) (Plugin, error) {
	return get[Plugin](ctx, c, nil, "plugins", name)
}

// PluginUses lists the graphs that use a plugin.
func (c *Client) PluginUses(ctx context.Context, name string) ([]PluginUse, error) {
	p, err := get[Page[PluginUse]](ctx, c, nil, "plugins", name, "uses")
	return p.Items, err
}

// PluginLogs gives the last lines that a plugin printed or logged; those with a
// number above after, or all if the server has counted anew since.
func (c *Client) PluginLogs(ctx context.Context, name string, after uint64) ([]PluginLog, error) {
	v := url.Values{}
	if after > 0 {
		v.Set("after", strconv.FormatUint(after, 10))
	}
	p, err := get[Page[PluginLog]](ctx, c, v, "plugins", name, "logs")
	return p.Items, err
}

// InstallPlugin installs or upgrades a plugin: a module or a program.
func (c *Client) InstallPlugin(ctx context.Context, file []byte, o InstallOptions) (PluginInstall, error) {
	return c.install(ctx, o, file, programType, "plugins")
}

// InstallReference installs or upgrades the plugin that the server fetches from
// an OCI registry.
func (c *Client) InstallReference(ctx context.Context, reference string, o InstallOptions) (PluginInstall, error) {
	body, err := json.Marshal(map[string]string{"reference": reference})
	if err != nil {
		return PluginInstall{}, fmt.Errorf("write request: %w", err)
	}
	return c.install(ctx, o, body, jsonType, "plugins")
}

// AcceptPlugin accepts a plugin's file as it is in the plugins folder now.
func (c *Client) AcceptPlugin(ctx context.Context, name string, o InstallOptions) (PluginInstall, error) {
	return c.install(ctx, o, nil, "", "plugins", name, "accept")
}

// RollbackPlugin goes back to the release before.
func (c *Client) RollbackPlugin(ctx context.Context, name string, o InstallOptions) (PluginInstall, error) {
	return c.install(ctx, o, nil, "", "plugins", name, "rollback")
}

func (c *Client) install(ctx context.Context, o InstallOptions, body []byte, contentType string, segments ...string) (PluginInstall, error) {
	var out PluginInstall
	k := call{method: http.MethodPost, path: path(segments...), query: o.query(), body: body}
	if body != nil {
		k.header = http.Header{"Content-Type": {contentType}}
	}
	_, err := c.do(ctx, k, &out)
	return out, err
}

// DisablePlugin switches a plugin off.
func (c *Client) DisablePlugin(ctx context.Context, name string) (Plugin, error) {
	return post[Plugin](ctx, c, "plugins", name, "disable")
}

// EnablePlugin switches a plugin on that was disabled or is in quarantine.
func (c *Client) EnablePlugin(ctx context.Context, name string) (Plugin, error) {
	return post[Plugin](ctx, c, "plugins", name, "enable")
}

// RemovePlugin removes a plugin; while graphs use it, only with force.
func (c *Client) RemovePlugin(ctx context.Context, name string, force bool) error {
	v := url.Values{}
	if force {
		v.Set("force", "true")
	}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("plugins", name), query: v}, nil)
	return err
}
