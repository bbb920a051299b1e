package api

import (
	"time"

	"github.com/tappet-dev/tappet/engine"
)

// Plugin is one plugin file and how it is.
type Plugin struct {
	Name     string          `json:"name" doc:"The connector's name, or the file's while it could not be described." example:"feed"`
	File     string          `json:"file" doc:"The file in the plugins folder." example:"feed.wasm"`
	Kind     string          `json:"kind" doc:"wasm runs in the sandbox; native is trusted code." enum:"wasm,native" example:"wasm"`
	Version  string          `json:"version" doc:"Its author's version." example:"1.0.0"`
	Digest   string          `json:"digest" doc:"SHA-256 of the file, in hex." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	Health   Health          `json:"health" doc:"Whether it can be used."`
	Usage    PluginSpent     `json:"usage" doc:"What the version in service has used since it was loaded."`
	Needs    Needs           `json:"needs" doc:"What it asks of its host; anything else is refused."`
	Triggers []string        `json:"triggers" nullable:"false" doc:"The names of its triggers."`
	Actions  []string        `json:"actions" nullable:"false" doc:"The names of its actions."`
	Previous []PluginRelease `json:"previous" nullable:"false" doc:"The releases that can be gone back to, newest first."`
}

// PluginSpent is what a plugin has used.
type PluginSpent struct {
	Calls    uint64 `json:"calls" doc:"Calls that have ended; a stream is one." example:"1204"`
	Failures uint64 `json:"failures" doc:"How many of them failed." example:"3"`
	Restarts uint64 `json:"restarts" doc:"How often an instance or a process that was lost was replaced." example:"0"`
	CPU      string `json:"cpu" doc:"Its processor time: of a module, the time in which its code ran; of a program, that of its processes." example:"1.204s"`
	Memory   int64  `json:"memory" doc:"The memory that it holds now, in bytes: of a module, that of its instances; of a program, what is resident, 0 where the system doesn't tell." example:"5111808"`
}

// PluginReference says where a plugin is.
type PluginReference struct {
	Reference string `json:"reference" doc:"An image of an OCI registry, by tag or digest." example:"registry.example.com/team/feed:1.2.0"`
}

// Health is how a plugin is.
type Health struct {
	State   string     `json:"state" doc:"Whether it can be used. held: its file isn't what was accepted, and what was accepted serves on." enum:"ready,loading,failed,held,disabled,quarantined" example:"ready"`
	Reason  string     `json:"reason" doc:"Why it isn't ready, and what to do; empty when it is." example:""`
	Since   *Timestamp `json:"since" nullable:"true" doc:"Since when." example:"2026-11-24T09:30:00.000Z"`
	Crashes int        `json:"crashes" doc:"How often the version in service crashed since it was loaded." example:"0"`
	Refused int        `json:"refused" doc:"How many of its events and results didn't fit the schemas that it tells, and were refused." example:"0"`
	Refusal string     `json:"refusal" doc:"Why the last of these was." example:""`
}

// PluginRelease is a release of a plugin that was accepted.
type PluginRelease struct {
	Version    string     `json:"version" doc:"Its author's version." example:"1.0.0"`
	Digest     string     `json:"digest" doc:"SHA-256 of the file, in hex." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	AcceptedAt *Timestamp `json:"accepted_at" nullable:"true" doc:"When it was accepted." example:"2026-11-24T09:30:00.000Z"`
}

// PluginUse is a graph that uses a plugin.
type PluginUse struct {
	Graph   string `json:"graph" doc:"The graph's name." example:"feed"`
	Version int    `json:"version" doc:"Its newest version." example:"3"`
	Active  bool   `json:"active" doc:"Whether it is ON." example:"true"`
}

// PluginLog is one line of a plugin's log.
type PluginLog struct {
	Number uint64     `json:"number" doc:"Counts the lines, from 1, since the server was started." example:"17"`
	At     *Timestamp `json:"at" nullable:"true" doc:"When." example:"2026-11-24T09:30:00.000Z"`
	Level  string     `json:"level" doc:"How bad it is; empty for what it printed." enum:",debug,info,warn,error" example:"info"`
	Text   string     `json:"text" doc:"What it said." example:"3 new items"`
}

// PluginInstall is what an install did or would do.
type PluginInstall struct {
	Plugin      Plugin       `json:"plugin" doc:"The plugin."`
	Reference   string       `json:"reference" doc:"The image that it was fetched from, by digest; empty when the file was sent." example:"registry.example.com/team/feed@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	Installed   bool         `json:"installed" doc:"Whether it is in service now; false for a dry run." example:"true"`
	Needs       Needs        `json:"needs" doc:"What it asks for beyond what had been granted."`
	Impact      PluginImpact `json:"impact" doc:"What it changes."`
	Republished []string     `json:"republished" nullable:"false" doc:"The active graphs that were published anew with it."`
}

// PluginImpact is what another version of a plugin changes.
type PluginImpact struct {
	Changes []PluginChange `json:"changes" nullable:"false" doc:"What differs in what it offers; the first 200 or so."`
	Graphs  []GraphImpact  `json:"graphs" nullable:"false" doc:"The graphs that use it, and what becomes of each."`
}

// PluginChange is one difference in what a plugin offers.
type PluginChange struct {
	Part   string `json:"part" doc:"The trigger or action." example:"triggers.new_item"`
	Field  string `json:"field" doc:"The place in its schemas, empty for all of it." example:"event.title"`
	Change string `json:"change" doc:"What happened to it." enum:"added,removed,changed" example:"added"`
	From   string `json:"from" doc:"Its type before." example:""`
	To     string `json:"to" doc:"Its type after." example:"string"`
}

// GraphImpact is what becomes of one graph.
type GraphImpact struct {
	PluginUse
	Effect   string         `json:"effect" doc:"gains: what it uses can do more and nothing less; changes: it has changed, and the graph still compiles; breaks: it doesn't." enum:"same,gains,changes,breaks" example:"gains"`
	Problems []ProblemError `json:"problems" nullable:"false" doc:"Why it breaks."`
}

func pluginOf(p PluginInfo) Plugin {
	out := Plugin{
		Name: p.Name, File: p.File, Kind: p.Kind, Version: p.Version, Digest: p.Digest,
		Health: Health{
			State: p.State, Reason: p.Reason, Since: timestamp(p.Since),
			Crashes: p.Crashes, Refused: p.Refused, Refusal: p.Refusal,
		},
		Usage: PluginSpent{
			Calls: p.Usage.Calls, Failures: p.Usage.Failures, Restarts: p.Usage.Restarts,
			CPU: p.Usage.CPU.Round(time.Millisecond).String(), Memory: p.Usage.Memory,
		},
		Needs: needsOf(p.Needs), Triggers: list(p.Triggers), Actions: list(p.Actions),
		Previous: make([]PluginRelease, len(p.Previous)),
	}
	for i, r := range p.Previous {
		out.Previous[i] = PluginRelease{Version: r.Version, Digest: r.Digest, AcceptedAt: timestamp(r.At)}
	}
	return out
}

func impactOf(m engine.Impact) PluginImpact {
	out := PluginImpact{Changes: make([]PluginChange, len(m.Changes)), Graphs: make([]GraphImpact, len(m.Graphs))}
	for i, c := range m.Changes {
		out.Changes[i] = PluginChange(c)
	}
	for i, g := range m.Graphs {
		v := GraphImpact{PluginUse: PluginUse(g.GraphUse), Effect: string(g.Effect), Problems: make([]ProblemError, len(g.Problems))}
		for j, p := range g.Problems {
			v.Problems[j] = problemError(p)
		}
		out.Graphs[i] = v
	}
	return out
}
