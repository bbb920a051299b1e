package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

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
		more: "The body is the file: a WebAssembly module, or a program for the server's machine, which is trusted code; or the tar " +
			"of an OCI image layout that holds one; or, as JSON, the reference of an image that the server fetches from an OCI registry." + more,
		answers: answers, errors: []int{409, 413, 415, 429},
		body: &huma.RequestBody{
			Description: "The plugin's file, or where it is.", Required: true,
			Content: map[string]*huma.MediaType{
				wasmType:    {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "A WebAssembly module."}},
				programType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "A module or a program."}},
				tarType:     {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "The tar of an OCI image layout."}},
				jsonType:    a.jsonRequest("", PluginReference{}).Content[jsonType],
			},
		},
	}, func(ctx context.Context, in *struct {
		InstallQuery
		Tag    string `query:"tag" maxLength:"128" doc:"Which image of a layout; needed where there are several." example:"1.0.0"`
		Digest string `query:"digest" pattern:"^(sha256:)?[0-9a-fA-F]{64}$" doc:"The SHA-256 that the file must have, in hex." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	},
	) (*reply, error) {
		return s.install(ctx, in.InstallQuery, func() (PluginCandidate, string, error) {
			b, pinned, err := s.pluginBody(ctx, in.Tag)
			if err != nil {
				return nil, "", err
			}
			k, err := s.plugins.StagePlugin(ctx, b, in.Digest)
			return k, pinned, err
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
		return s.install(ctx, in.InstallQuery, here(func() (PluginCandidate, error) { return s.plugins.StagePluginFile(ctx, in.Plugin) }))
	})
	add(a, s, operation{
		id: "rollback-plugin", method: http.MethodPost, path: "/api/v1/plugins/{plugin}/rollback", tag: tagConnectors,
		summary: "Go back to the release before", more: "Done again, it goes forward." + more,
		answers: answers, errors: []int{404, 409, 429},
	}, func(ctx context.Context, in *in) (*reply, error) {
		return s.install(ctx, in.InstallQuery, here(func() (PluginCandidate, error) { return s.plugins.StagePluginBefore(ctx, in.Plugin) }))
	})
}

// pluginBody reads a plugin's file, or reads where it is and fetches it; pinned is
// the reference that it was fetched by.
func (s *Server) pluginBody(ctx context.Context, tag string) (file []byte, pinned string, err error) {
	r := callOf(ctx).r
	name, p := media(r.Header)
	if p != nil {
		return nil, "", p
	}
	switch name {
	case wasmType, programType, tarType:
	case jsonType:
		var in PluginReference
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, "", err
		}
		return s.plugins.FetchPlugin(ctx, in.Reference, s.limits.Plugin)
	default:
		const types = wasmType + ", " + programType + ", " + tarType + ", " + jsonType
		return nil, "", notTaken(name, "a plugin is sent as application/wasm or application/octet-stream, its layout as "+
			"application/x-tar, a reference to it as application/json").with("Accept", types)
	}
	b, p := read(r, bound{bytes: s.limits.Plugin, setting: "limits.plugin"})
	switch {
	case p != nil:
		return nil, "", p
	case len(b) == 0:
		return nil, "", invalid("empty", "the body is empty; send the plugin's file")
	case name == tarType:
		b, err = s.plugins.UnpackPlugin(ctx, b, tag, s.limits.Plugin)
	case tag != "":
		return nil, "", invalidParameter("tag", "only a layout, application/x-tar, has tags")
	}
	return b, "", err
}

// here stages what is on the server already.
func here(stage func() (PluginCandidate, error)) func() (PluginCandidate, string, error) {
	return func() (PluginCandidate, string, error) {
		k, err := stage()
		return k, "", err
	}
}

// install stages a candidate, weighs it and puts it into service, one at a time.
func (s *Server) install(ctx context.Context, q InstallQuery, stage func() (PluginCandidate, string, error)) (_ *reply, err error) {
	select {
	case s.installs <- struct{}{}:
		defer func() { <-s.installs }()
	default:
		return nil, &engine.Error{Kind: engine.Overloaded, Op: "install plugin", RetryAfter: 2 * time.Second, Err: errors.New("another plugin is being installed")}
	}
	k, pinned, err := stage()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	impact, err := s.engine.Impact(ctx, k.Connector())
	if err != nil {
		return nil, err
	}
	out := PluginInstall{Plugin: pluginOf(k.Info()), Reference: pinned, Needs: needsOf(k.Ungranted()), Impact: impactOf(impact), Republished: []string{}}
	if q.DryRun {
		return jsonReply(http.StatusOK, out)
	}
	if problems := standInTheWay(q, k, impact); len(problems) > 0 {
		return nil, &engine.Error{Kind: engine.Conflict, Op: "install plugin " + k.Info().Name, Problems: problems}
	}
	// Who asked may go: what is begun is finished.
	republished, err := s.engine.Upgrade(context.WithoutCancel(ctx), k.Connector(), k.Commit)
	if err != nil {
		return nil, err
	}
	out.Installed, out.Republished = true, list(republished)
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
