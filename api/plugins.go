package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// Plugins is the catalogue of plugins; each part is a small interface of its own.
// Errors carry an engine.Kind. Everything is safe for concurrent use.
type Plugins interface {
	PluginList
	PluginInstaller
	PluginSwitch
}

// PluginList tells how plugins are.
type PluginList interface {
	// Plugins lists all plugin files that were found, by name.
	Plugins() []PluginInfo
	// Plugin gives one; the error has the kind engine.NotFound.
	Plugin(name string) (PluginInfo, error)
	// PluginLogs gives the last lines that it printed or logged, oldest first.
	PluginLogs(name string) ([]PluginLine, error)
}

// PluginInstaller makes candidates: versions that are loaded and checked beside
// what serves.
type PluginInstaller interface {
	// StagePlugin takes an artefact; digest is the SHA-256 that it must have, in
	// hex, "" for any.
	StagePlugin(ctx context.Context, artefact []byte, digest string) (PluginCandidate, error)
	// StagePluginFile takes the plugin's file as it is in the folder now.
	StagePluginFile(ctx context.Context, name string) (PluginCandidate, error)
	// StagePluginBefore takes the release before the present one.
	StagePluginBefore(ctx context.Context, name string) (PluginCandidate, error)
}

// PluginSwitch takes plugins out of service.
type PluginSwitch interface {
	EnablePlugin(name string) error
	DisablePlugin(name string) error
	RemovePlugin(name string) error
}

// A PluginCandidate is a version that serves nobody yet.
type PluginCandidate interface {
	Info() PluginInfo
	Connector() engine.Connector
	// Ungranted is what it asks for beyond what was granted; Commit grants it.
	Ungranted() sdk.Needs
	Commit() error
	// Close gives it up unless it was committed.
	Close() error
}

// PluginInfo is what is known of one plugin file.
type PluginInfo struct {
	// Name is the connector's, or the file's while it could not be described.
	Name string
	// File is the file's name in the plugins folder, without the folder.
	File string
	// Kind is "wasm" or "native".
	Kind string
	// Digest is the file's SHA-256, in hex.
	Digest  string
	Version string
	// State is "ready", "loading", "failed", "held", "disabled" or "quarantined".
	State string
	// Reason says why it isn't ready, and what to do.
	Reason string
	// Since is when State was entered.
	Since time.Time
	// Crashes and Refused count what the version in service did wrong; Refusal is
	// why the last event was refused.
	Crashes, Refused int
	Refusal          string
	// Needs is what the plugin asks for.
	Needs sdk.Needs
	// Triggers and Actions are names.
	Triggers []string
	Actions  []string
	// Previous are the releases that can be gone back to, newest first.
	Previous []PluginVersion
}

// PluginVersion is a release that was accepted.
type PluginVersion struct {
	Digest, Version string
	At              time.Time
}

// PluginLine is one line of a plugin's log; Level is "" for what it printed.
type PluginLine struct {
	At          time.Time
	Level, Text string
}

// wasmType and programType are the types of a plugin's file. What it is is told
// by its first bytes.
const (
	wasmType    = "application/wasm"
	programType = "application/octet-stream"
)

// pluginRoutes adds the calls of plugins.
func (s *Server) pluginRoutes(a rest) {
	s.pluginReads(a)
	s.pluginInstalls(a)
	s.pluginSwitches(a)
}

// PluginPath is the parameter that names a plugin in a path.
type PluginPath struct {
	Plugin string `path:"plugin" doc:"The plugin's name." example:"feed"`
}

func (s *Server) pluginReads(a rest) {
	add(a, s, operation{
		id: "list-plugins", method: http.MethodGet, path: "/api/v1/plugins", tag: tagConnectors,
		summary: "List plugins", more: "All files of the plugins folder, those that failed too.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page.", body: List[Plugin]{}}},
	}, func(context.Context, *struct{}) (*reply, error) {
		found := s.plugins.Plugins()
		page := List[Plugin]{Items: make([]Plugin, len(found))}
		for i, p := range found {
			page.Items[i] = pluginOf(p)
		}
		return jsonReply(http.StatusOK, page)
	})
	add(a, s, operation{
		id: "get-plugin", method: http.MethodGet, path: "/api/v1/plugins/{plugin}", tag: tagConnectors,
		summary: "Get a plugin", more: "With its health.",
		answers: map[int]answerDoc{200: {text: "The plugin.", body: Plugin{}}},
		errors:  []int{404},
	}, func(_ context.Context, in *PluginPath) (*reply, error) {
		p, err := s.plugins.Plugin(in.Plugin)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, pluginOf(p))
	})
	add(a, s, operation{
		id: "list-plugin-uses", method: http.MethodGet, path: "/api/v1/plugins/{plugin}/uses", tag: tagConnectors,
		summary: "List the graphs that use a plugin", more: "Those whose newest version does, ON or OFF.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page.", body: List[PluginUse]{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *PluginPath) (*reply, error) {
		if _, err := s.plugins.Plugin(in.Plugin); err != nil {
			return nil, err
		}
		uses, err := s.engine.Uses(ctx, in.Plugin)
		if err != nil {
			return nil, err
		}
		page := List[PluginUse]{Items: make([]PluginUse, len(uses))}
		for i, u := range uses {
			page.Items[i] = PluginUse(u)
		}
		return jsonReply(http.StatusOK, page)
	})
	add(a, s, operation{
		id: "list-plugin-logs", method: http.MethodGet, path: "/api/v1/plugins/{plugin}/logs", tag: tagConnectors,
		summary: "Read a plugin's log", more: "The last lines that it printed or logged, oldest first.",
		answers: map[int]answerDoc{200: {text: "The lines, on one page.", body: List[PluginLog]{}}},
		errors:  []int{404},
	}, func(_ context.Context, in *PluginPath) (*reply, error) {
		lines, err := s.plugins.PluginLogs(in.Plugin)
		if err != nil {
			return nil, err
		}
		page := List[PluginLog]{Items: make([]PluginLog, len(lines))}
		for i, l := range lines {
			page.Items[i] = PluginLog{At: timestamp(l.At), Level: l.Level, Text: l.Text}
		}
		return jsonReply(http.StatusOK, page)
	})
}

// InstallQuery says how far an install may go.
type InstallQuery struct {
	Grant  bool `query:"grant" doc:"Grant what the plugin needs beyond what was granted." example:"true"`
	Force  bool `query:"force" doc:"Go on though active graphs break." example:"false"`
	DryRun bool `query:"dry_run" doc:"Change nothing; only tell what would be." example:"false"`
}

func (s *Server) pluginInstalls(a rest) {
	more := " Without grant, what needs more than was granted is refused; without force, what breaks a graph that is ON is too (409). " +
		"Active graphs that go on with it are published anew; runs that have begun keep their version."
	answers := map[int]answerDoc{200: {text: "What was done, or would be.", body: PluginInstall{}}}
	add(a, s, operation{
		id: "install-plugin", method: http.MethodPost, path: "/api/v1/plugins", tag: tagConnectors,
		summary: "Install or upgrade a plugin",
		more:    "The body is the file: a WebAssembly module, or a program for the server's machine, which is trusted code." + more,
		answers: answers, errors: []int{409, 413, 415, 429},
		body: &huma.RequestBody{
			Description: "The plugin's file.", Required: true,
			Content: map[string]*huma.MediaType{
				wasmType:    {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "A WebAssembly module."}},
				programType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "A module or a program."}},
			},
		},
	}, func(ctx context.Context, in *struct {
		InstallQuery
		Digest string `query:"digest" pattern:"^(sha256:)?[0-9a-fA-F]{64}$" doc:"The SHA-256 that the file must have, in hex." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	},
	) (*reply, error) {
		return s.install(ctx, in.InstallQuery, func() (PluginCandidate, error) {
			b, err := s.pluginBody(ctx)
			if err != nil {
				return nil, err
			}
			return s.plugins.StagePlugin(ctx, b, in.Digest)
		})
	})
	type in struct {
		PluginPath
		InstallQuery
	}
	add(a, s, operation{
		id: "accept-plugin", method: http.MethodPost, path: "/api/v1/plugins/{plugin}/accept", tag: tagConnectors,
		summary: "Accept a plugin's changed file", more: "As it is in the plugins folder now." + more,
		answers: answers, errors: []int{404, 409, 429},
	}, func(ctx context.Context, in *in) (*reply, error) {
		return s.install(ctx, in.InstallQuery, func() (PluginCandidate, error) { return s.plugins.StagePluginFile(ctx, in.Plugin) })
	})
	add(a, s, operation{
		id: "rollback-plugin", method: http.MethodPost, path: "/api/v1/plugins/{plugin}/rollback", tag: tagConnectors,
		summary: "Go back to the release before", more: "Done again, it goes forward." + more,
		answers: answers, errors: []int{404, 409, 429},
	}, func(ctx context.Context, in *in) (*reply, error) {
		return s.install(ctx, in.InstallQuery, func() (PluginCandidate, error) { return s.plugins.StagePluginBefore(ctx, in.Plugin) })
	})
}

// pluginBody reads a plugin's file.
func (s *Server) pluginBody(ctx context.Context) ([]byte, error) {
	r := callOf(ctx).r
	name, p := media(r.Header)
	if p != nil {
		return nil, p
	}
	if name != wasmType && name != programType {
		return nil, notTaken(name, "a plugin is sent as application/wasm or application/octet-stream").
			with("Accept", wasmType+", "+programType)
	}
	b, p := read(r, bound{bytes: s.limits.Plugin, setting: "limits.plugin"})
	if p != nil {
		return nil, p
	}
	if len(b) == 0 {
		return nil, invalid("empty", "the body is empty; send the plugin's file")
	}
	return b, nil
}

// install stages a candidate, weighs it and puts it into service, one at a time.
func (s *Server) install(ctx context.Context, q InstallQuery, stage func() (PluginCandidate, error)) (_ *reply, err error) {
	select {
	case s.installs <- struct{}{}:
		defer func() { <-s.installs }()
	default:
		return nil, &engine.Error{Kind: engine.Overloaded, Op: "install plugin", RetryAfter: 2 * time.Second, Err: errors.New("another plugin is being installed")}
	}
	k, err := stage()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	impact, err := s.engine.Impact(ctx, k.Connector())
	if err != nil {
		return nil, err
	}
	out := PluginInstall{Plugin: pluginOf(k.Info()), Needs: needsOf(k.Ungranted()), Impact: impactOf(impact), Republished: []string{}}
	if q.DryRun {
		return jsonReply(http.StatusOK, out)
	}
	if problems := standInTheWay(q, k, impact); len(problems) > 0 {
		return nil, &engine.Error{Kind: engine.Conflict, Op: "install plugin " + k.Info().Name, Problems: problems}
	}
	if err := k.Commit(); err != nil {
		return nil, err
	}
	out.Installed = true
	// It is in service now: who asked may go, the graphs follow.
	adopted, err := s.engine.Adopt(context.WithoutCancel(ctx), k.Info().Name)
	if err != nil {
		return nil, err
	}
	out.Republished = list(adopted)
	if p, err := s.plugins.Plugin(k.Info().Name); err == nil {
		out.Plugin = pluginOf(p)
	}
	return jsonReply(http.StatusOK, out)
}

// standInTheWay lists what of an install was not asked for.
func standInTheWay(q InstallQuery, k PluginCandidate, impact engine.Impact) []engine.Problem {
	var out []engine.Problem
	if n := k.Ungranted(); !q.Grant && len(n.HTTP)+len(n.Secrets) > 0 {
		out = append(out, engine.Problem{
			Code: "not_granted", Message: "the plugin asks for " + needsWords(n) + ", which isn't granted",
			Suggestion: "grant it with ?grant=true (tappet plugin install --grant)",
		})
	}
	if broken := impact.Breaking(); !q.Force && len(broken) > 0 {
		out = append(out, engine.Problem{
			Code: "breaks_graphs", Message: "it breaks graphs that are ON: " + strings.Join(broken, ", "),
			Suggestion: "see what with ?dry_run=true, change the graphs, or go on with ?force=true",
		})
	}
	return out
}

func needsWords(n sdk.Needs) string {
	var out []string
	if len(n.HTTP) > 0 {
		out = append(out, "HTTP to "+strings.Join(n.HTTP, ", "))
	}
	if len(n.Secrets) > 0 {
		out = append(out, "the secrets "+strings.Join(n.Secrets, ", "))
	}
	return strings.Join(out, " and ")
}

func (s *Server) pluginSwitches(a rest) {
	done := map[int]answerDoc{200: {text: "How it is now.", body: Plugin{}}}
	show := func(err error, name string) (*reply, error) {
		if err != nil {
			return nil, err
		}
		p, err := s.plugins.Plugin(name)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, pluginOf(p))
	}
	add(a, s, operation{
		id: "disable-plugin", method: http.MethodPost, path: "/api/v1/plugins/{plugin}/disable", tag: tagConnectors,
		summary: "Disable a plugin", more: "It isn't called any more until it is enabled, also after a restart. Calls under way end.",
		answers: done, errors: []int{404, 409},
	}, func(_ context.Context, in *PluginPath) (*reply, error) {
		return show(s.plugins.DisablePlugin(in.Plugin), in.Plugin)
	})
	add(a, s, operation{
		id: "enable-plugin", method: http.MethodPost, path: "/api/v1/plugins/{plugin}/enable", tag: tagConnectors,
		summary: "Enable a plugin", more: "One that was disabled, or that is in quarantine because it kept crashing.",
		answers: done, errors: []int{404, 409},
	}, func(_ context.Context, in *PluginPath) (*reply, error) {
		return show(s.plugins.EnablePlugin(in.Plugin), in.Plugin)
	})
	add(a, s, operation{
		id: "remove-plugin", method: http.MethodDelete, path: "/api/v1/plugins/{plugin}", tag: tagConnectors,
		summary: "Remove a plugin", more: "Its file, and the releases that are kept. It is refused while a graph's newest version uses it, unless force.",
		answers: map[int]answerDoc{204: {text: "It is gone."}},
		errors:  []int{404, 409},
	}, func(ctx context.Context, in *struct {
		PluginPath
		Force bool `query:"force" doc:"Remove it though graphs use it." example:"false"`
	},
	) (*reply, error) {
		if err := s.removable(ctx, in.Plugin, in.Force); err != nil {
			return nil, err
		}
		if err := s.plugins.RemovePlugin(in.Plugin); err != nil {
			return nil, err
		}
		return &reply{Status: http.StatusNoContent}, nil
	})
}

// removable refuses while graphs use the plugin.
func (s *Server) removable(ctx context.Context, name string, force bool) error {
	if _, err := s.plugins.Plugin(name); err != nil || force {
		return err
	}
	uses, err := s.engine.Uses(ctx, name)
	if err != nil || len(uses) == 0 {
		return err
	}
	names := make([]string, len(uses))
	for i, u := range uses {
		names[i] = u.Graph
	}
	return &engine.Error{Kind: engine.Conflict, Op: "remove plugin " + name, Problems: []engine.Problem{{
		Code: "in_use", Message: "graphs use it: " + strings.Join(names, ", "),
		Suggestion: "change or delete them, or use ?force=true (tappet plugin remove --force)",
	}}}
}

// noPlugins is a catalogue without plugins.
type noPlugins struct{}

var _ Plugins = noPlugins{}

func (noPlugins) missing(name string) error {
	return &engine.Error{Kind: engine.NotFound, Err: fmt.Errorf("there is no plugin %.100q", name)}
}

func (noPlugins) unable() error {
	return &engine.Error{Kind: engine.Unavailable, Err: errors.New("this server runs without plugins")}
}

func (noPlugins) Plugins() []PluginInfo { return nil }

func (n noPlugins) Plugin(name string) (PluginInfo, error) { return PluginInfo{}, n.missing(name) }

func (n noPlugins) PluginLogs(name string) ([]PluginLine, error) { return nil, n.missing(name) }

func (n noPlugins) StagePlugin(context.Context, []byte, string) (PluginCandidate, error) {
	return nil, n.unable()
}

func (n noPlugins) StagePluginFile(_ context.Context, name string) (PluginCandidate, error) {
	return nil, n.missing(name)
}

func (n noPlugins) StagePluginBefore(_ context.Context, name string) (PluginCandidate, error) {
	return nil, n.missing(name)
}

func (n noPlugins) EnablePlugin(name string) error { return n.missing(name) }

func (n noPlugins) DisablePlugin(name string) error { return n.missing(name) }

func (n noPlugins) RemovePlugin(name string) error { return n.missing(name) }
