package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// Plugins is the catalogue of plugins; each part is a small interface of its own.
// Errors carry an engine.Kind. Everything is safe for concurrent use.
type Plugins interface {
	PluginList
	PluginSource
	PluginInstaller
	PluginSwitch
}

// PluginList tells how plugins are.
type PluginList interface {
	// Plugins lists all plugin files that were found, by name.
	Plugins() []PluginInfo
	// Plugin gives one; the error has the kind engine.NotFound.
	Plugin(name string) (PluginInfo, error)
	// PluginLogs gives the last lines that it printed or logged, oldest first;
	// only those with a number above after, or all when the numbers have begun
	// anew.
	PluginLogs(name string, after uint64) ([]PluginLine, error)
}

// PluginSource finds plugins' files elsewhere; most is the most bytes that a file
// may have.
type PluginSource interface {
	// FetchPlugin fetches what an OCI registry has under a reference; pinned is
	// the reference by its digest.
	FetchPlugin(ctx context.Context, reference string, most int64) (artefact []byte, pinned string, err error)
	// UnpackPlugin reads the tar of an OCI image layout; tag names one of several
	// images.
	UnpackPlugin(ctx context.Context, layout []byte, tag string, most int64) ([]byte, error)
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
	// publish commits what has to change with it, and is called once.
	Commit(publish func() error) error
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
	// Usage is what the version in service has used.
	Usage PluginUsage
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

// PluginUsage is what a plugin has used since it was loaded.
type PluginUsage struct {
	// Calls is how many calls have ended, Failures how many of them with an
	// error, Restarts how often an instance or process that was lost was replaced.
	Calls, Failures, Restarts uint64
	CPU                       time.Duration
	// Memory is what it holds now, in bytes; 0 when it holds none and where that
	// can't be told.
	Memory int64
}

// PluginLine is one line of a plugin's log; Level is "" for what it printed.
// Number counts the lines from 1.
type PluginLine struct {
	Number      uint64
	At          time.Time
	Level, Text string
}

// What a plugin is sent as. Whether a file is a module is told by its first
// bytes.
const (
	wasmType    = "application/wasm"
	programType = "application/octet-stream"
	tarType     = "application/x-tar"
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
	}, func(_ context.Context, in *struct {
		PluginPath
		After uint64 `query:"after" doc:"Only lines with a higher number; all lines when the server has counted anew since." example:"17"`
	},
	) (*reply, error) {
		lines, err := s.plugins.PluginLogs(in.Plugin, in.After)
		if err != nil {
			return nil, err
		}
		page := List[PluginLog]{Items: make([]PluginLog, len(lines))}
		for i, l := range lines {
			page.Items[i] = PluginLog{Number: l.Number, At: timestamp(l.At), Level: l.Level, Text: l.Text}
		}
		return jsonReply(http.StatusOK, page)
	})
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

func (n noPlugins) PluginLogs(name string, _ uint64) ([]PluginLine, error) {
	return nil, n.missing(name)
}

func (n noPlugins) FetchPlugin(context.Context, string, int64) ([]byte, string, error) {
	return nil, "", n.unable()
}

func (n noPlugins) UnpackPlugin(context.Context, []byte, string, int64) ([]byte, error) {
	return nil, n.unable()
}

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
