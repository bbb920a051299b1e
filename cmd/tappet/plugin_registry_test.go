package main_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"oras.land/oras-go/v2"
	layout "oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/tappet-dev/tappet/plugins/oci"
)

// newDepot starts a registry that has what a layout has under 1.0.0 as team/feed;
// before answers a request itself, or lets it pass.
func newDepot(t *testing.T, folder string, before func(http.ResponseWriter, *http.Request) bool) (host string) {
	t.Helper()
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	guarded := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !guarded || before == nil || !before(w, r) {
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	from, err := layout.New(folder)
	if err != nil {
		t.Fatal(err)
	}
	to, err := remote.NewRepository(hostport(s.URL) + "/team/feed")
	if err != nil {
		t.Fatal(err)
	}
	to.PlainHTTP = true
	if _, err := oras.Copy(t.Context(), from, "1.0.0", to, "1.0.0", oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
	guarded = true
	return hostport(s.URL)
}

// feedLayout is a layout of the feed example.
func feedLayout(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "feed.oci")
	files := []oci.File{{Bytes: content(t, build(t, feedPlugin, "GOOS=wasip1 GOARCH=wasm", ""))}}
	if err := oci.Write(t.Context(), folder, "1.0.0", files); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestPluginFromRegistry installs by a reference, and refuses what the operator
// hasn't allowed.
func TestPluginFromRegistry(t *testing.T) {
	t.Parallel()
	folder := feedLayout(t)
	open := newDepot(t, folder, nil)
	private := newDepot(t, folder, func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, ok := r.BasicAuth(); ok && u == "robot" && p == "of this test" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	inside := newDepot(t, folder, nil) // nobody allows it
	// One whose layers lie elsewhere, in the private network.
	leads := newDepot(t, folder, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, "http://"+inside+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	auth := filepath.Join(t.TempDir(), "config.json")
	secret := base64.StdEncoding.EncodeToString([]byte("robot:of this test"))
	if err := os.WriteFile(auth, fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, private, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--registry-auth-file", auth}
	for _, host := range []string{open, private, leads} {
		args = append(args, "--egress-allow", host)
	}
	s := start(t, "", args...)
	sh := newTerminal(t, s)
	for reference, want := range map[string]string{
		inside + "/team/feed:1.0.0":                           "an operator can add it to egress.allow",
		leads + "/team/feed:1.0.0":                            inside + " is refused by the egress guard",
		open + "/team/feed:2.0.0":                             "is it pushed",
		open + "/team/feed":                                   "names neither a tag nor a digest",
		open + "/team/feed@sha256:" + strings.Repeat("0", 64): "is it pushed",
		"registry.invalid/team/feed:1.0.0":                    "registry.invalid",
		"./feed:1.0.0":                                        "no such file",
	} {
		sh.fails(want, "plugin", "install", "--grant", reference)
	}
	sh.fails("it isn't the file that was meant", "plugin", "install", "--grant", "--digest", strings.Repeat("0", 64), open+"/team/feed:1.0.0")
	if found, err := s.Plugins(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("something was installed: %+v, %v", found, err)
	}
	for _, host := range []string{open, private} {
		out := sh.run("plugin", "install", "--grant", host+"/team/feed:1.0.0")
		if !strings.Contains(out, "fetched "+host+"/team/feed@sha256:") || !strings.Contains(out, "feed 1.0.0 is ready (wasm, feed.wasm)") {
			t.Errorf("%s:\n%s", host, out)
		}
		sh.run("plugin", "remove", "feed")
	}
	// The control of the redirect: whoever may go there gets it.
	wide := newTerminal(t, start(t, "", "--egress-allow", leads, "--egress-allow", inside))
	wide.run("plugin", "install", "--grant", leads+"/team/feed:1.0.0")
}
