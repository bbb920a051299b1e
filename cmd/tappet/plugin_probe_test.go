package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// newGitea is a server that knows one token.
func newGitea(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/slow/api/v1/user":
			<-r.Context().Done()
		case r.Header.Get("Authorization") != "token right":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/user":
			_, _ = w.Write([]byte(`{"login":"ops"}`))
		case r.URL.Path == "/api/v1/user/repos":
			_, _ = w.Write([]byte(`[{"full_name":"ops/alerts","description":"What is wrong"},{"full_name":"ops/docs"}]`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestPluginProbes asks one plugin, as a module and as a program, for its check
// and its options.
func TestPluginProbes(t *testing.T) {
	t.Parallel()
	gitea := newGitea(t)
	for file, env := range map[string]string{"gitea.wasm": "GOOS=wasip1 GOARCH=wasm", "gitea": ""} {
		for _, secret := range []string{"right", "wrong"} {
			t.Run(file+" "+secret, func(t *testing.T) {
				t.Parallel()
				cmd := command(t, binary(t), "serve", "--data", filepath.Join(t.TempDir(), "data"), "--addr", "127.0.0.1:0", "--egress-allow", hostport(gitea))
				cmd.Env = append(cmd.Env, "TAPPET_ADMIN_TOKEN="+token, "TAPPET_SECRET_GITEA_TOKEN="+secret)
				s := launch(t, cmd, token)
				sh := newTerminal(t, s)
				sh.run("plugin", "install", "--grant", build(t, "examples/plugins/gitea", env, ""))
				if secret == "wrong" {
					sh.fails("it doesn't work (unauthorized)", "plugin", "check", "gitea", configOf(t, gitea))
					sh.fails("401", "plugin", "options", "gitea", "repositories", configOf(t, gitea))
					return
				}
				sh.probe(gitea)
				s.wantUsage(t)
			})
		}
	}
}

func configOf(t *testing.T, url string) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"url": url})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// probe asks what works and what doesn't.
func (s terminal) probe(gitea string) {
	s.t.Helper()
	config := configOf(s.t, gitea)
	if out := s.run("plugin", "check", "gitea", config); out != "it works\n" {
		s.t.Error(out)
	}
	const repositories = "\"ops/alerts\"  ops/alerts: What is wrong\n\"ops/docs\"    ops/docs\n"
	for _, args := range [][]string{
		{"repositories", config},
		{"create_issue.repository", strings.TrimSuffix(config, "}") + `,"title":"half a form"}`},
	} {
		if out := s.run(append([]string{"plugin", "options", "gitea"}, args...)...); out != repositories {
			s.t.Errorf("%q gives\n%s", args, out)
		}
	}
	// The guard, the plugin's own needs and the limit of time hold.
	for url, want := range map[string]string{
		"http://127.0.0.1:1":      "it doesn't work (denied): ",
		"http://metadata.invalid": "it doesn't work (",
		gitea + "/elsewhere":      "it doesn't work (not_found)",
		gitea + "/slow":           "(limits.probe_timeout)",
	} {
		s.fails(want, "plugin", "check", "gitea", configOf(s.t, url))
	}
	s.fails("it doesn't work (invalid)", "plugin", "check", "gitea", `{"adress":"x"}`)
	s.fails("no options", "plugin", "options", "gitea", "create_issue.title")
	s.fails("no options", "plugin", "options", "gitea", "branches")
	s.fails("is no JSON", "plugin", "check", "gitea", "{")
	s.fails("has no check", "plugin", "check", "http", "{}")
	s.fails("there is no connector", "plugin", "check", "nobody")
}

// wantUsage holds the account against what was asked.
func (s *server) wantUsage(t *testing.T) {
	t.Helper()
	p, err := s.Plugin(t.Context(), "gitea")
	if err != nil {
		t.Fatal(err)
	}
	u := p.Usage
	if u.Calls < 8 || u.Failures < 5 || u.Failures >= u.Calls || u.CPU == "0s" || u.CPU == "" || u.Memory < 1<<20 {
		t.Errorf("%s: %+v", p.File, u)
	}
	c, err := s.Connector(t.Context(), "gitea")
	if err != nil || !c.Checks || len(c.Options) != 1 || c.Options[0].Name != "repositories" || !json.Valid(c.Check) {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := s.Options(t.Context(), "gitea", client.Choosing{Options: "repositories"}); !client.Is(err, "invalid") {
		t.Errorf("options without a server: %v", err)
	}
}
