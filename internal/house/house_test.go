package house_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tappet-dev/tappet"

type pkg struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
	Deps       []string
	Standard   bool
}

// list is go list, for a system and with build tags.
func list(t testing.TB, env []string, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Name,Doc,Imports,Deps,Standard"}, args...)...)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	var ps []pkg
	for {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return ps
		}
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}

func root(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// own gives a package's path inside the module, and whether it is ours.
func own(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// under says whether a path is one of the folders, or below it.
func under(path string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") })
}

// doors names the packages that may import a dependency directly.
var doors = map[string][]string{
	"go.yaml.in/yaml":                        {"engine/graph"},
	"github.com/santhosh-tekuri/jsonschema":  {"engine/graph"},
	"github.com/expr-lang/expr":              {"engine/expr"},
	"github.com/cockroachdb/apd":             {"engine/expr"},
	"modernc.org/sqlite":                     {"engine/sqlite"},
	"database/sql":                           {"engine/sqlite"},
	"github.com/pressly/goose":               {"engine/sqlite"},
	"github.com/tetratelabs/wazero":          {"plugins/wasm"},
	"github.com/hashicorp/go-plugin":         {"plugins/native", "sdk/serve", "sdk/wire"},
	"google.golang.org/grpc":                 {"plugins/native", "sdk/serve", "sdk/wire"},
	"github.com/fsnotify/fsnotify":           {"plugins", "cmd"},
	"oras.land/oras-go":                      {"plugins/oci"},
	"github.com/opencontainers/image-spec":   {"plugins/oci"},
	"github.com/google/go-containerregistry": {}, // a registry for tests
	"github.com/golang-jwt/jwt":              {"connectors/webhook", "connectors/connection"},
	"golang.org/x/oauth2":                    {"connectors/connection"},
	"github.com/icholy/digest":               {"connectors/connection"},
	"github.com/aws/aws-sdk-go-v2":           {"connectors/connection"},
	"github.com/zitadel/oidc":                {}, // a provider for tests
	"github.com/labstack/echo":               {"api"},
	"github.com/danielgtaylor/huma":          {"api"},
	"github.com/spf13/cobra":                 {"cmd"},
	"github.com/netresearch/go-cron":         {"sdk/cron"},
	"github.com/andybalholm/brotli":          {"internal/egress"},
	"github.com/klauspost/compress":          {"internal/egress"},
	"golang.org/x/net":                       {"internal/egress"},
	"github.com/mccutchen/go-httpbin":        {"internal/egress"},
	"testing":                                {"engine/enginetest", "sdk/sdktest", "examples/plugins/trials", "plugins/internal/guest", "plugins/plugintest"},
}

// arrows names, for a folder and what lies below it, the packages of ours that
// it may import beside its own. "x/..." is x and what lies below it. The longest
// entry that holds a package counts; cmd, which knows everybody, has none.
var arrows = map[string][]string{
	"sdk":               {},
	"sdk/wire":          {"sdk"},
	"sdk/serve":         {"sdk/..."},
	"sdk/sdktest":       {"sdk"},
	"engine/graph":      {},
	"engine/expr":       {},
	"engine/program":    {"engine/graph", "engine/expr"},
	"engine/machine":    {"engine/program", "engine/expr"},
	"engine":            {"engine/graph", "engine/expr", "engine/program", "engine/machine", "sdk", "sdk/cron"},
	"engine/local":      {"engine", "engine/machine", "engine/program"},
	"engine/sqlite":     {"engine", "engine/machine", "engine/graph"},
	"engine/enginetest": {"engine", "engine/machine", "engine/graph", "engine/program", "sdk"},
	"connectors":        {"sdk", "sdk/cron"},
	// No connector: it stands between all of them and the transport.
	"connectors/connection": {"sdk", "internal/seal"},
	"internal/seal":         {},
	"plugins":               {"sdk/...", "plugins/contract"},
	"plugins/contract":      {},
	"internal/blob":         {},
	"internal/egress":       {"sdk"},
	"internal/bench":        {"api/client", "internal/bench/emitter"},
	// A connector of benchmarks, in process and as a plugin.
	"internal/bench/emitter": {"sdk/..."},
	"sdk/cron":               {},
	"internal/house":         {},
	"api/client":             {},
	"api":                    {"engine", "engine/graph", "engine/machine", "engine/expr", "sdk"},
	"examples":               {"sdk/..."},
	"examples/graphs":        {},
}

// rule gives the folder of the entry that holds a package.
func rule(path string) (folder string, found bool) {
	for f := range arrows {
		if under(path, f) && len(f) >= len(folder) {
			folder, found = f, true
		}
	}
	return folder, found
}

// allowed says whether a folder's rule lets it import a package.
func allowed(folder, to string) bool {
	if home, _ := rule(to); home == folder {
		return true
	}
	return slices.ContainsFunc(arrows[folder], func(a string) bool {
		if below, ok := strings.CutSuffix(a, "/..."); ok {
			return under(to, below)
		}
		return a == to
	})
}

func TestArrowsAndDoors(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, nil, "./...") {
		path, _ := own(p.ImportPath)
		folder, bound := rule(path)
		if !bound && !under(path, "cmd") {
			t.Errorf("%s has no rule: say in arrows what it may import", path)
		}
		for _, imp := range p.Imports {
			if to, ours := own(imp); ours {
				if bound && !allowed(folder, to) {
					t.Errorf("%s imports %s: %s may import %v", path, to, folder, arrows[folder])
				}
				continue
			}
			for dep, at := range doors {
				if under(imp, dep) && !under(path, at...) {
					t.Errorf("%s imports %s: its door is %v", path, imp, at)
				}
			}
		}
	}
}

// A rule that can't be broken proves nothing: the table refuses what it should.
func TestArrowsRefuse(t *testing.T) {
	t.Parallel()
	for from, to := range map[string]string{
		"engine/machine": "engine", "engine": "plugins/wasm", "connectors/http": "internal/egress",
		"sdk/serve": "engine", "plugins/wasm": "engine", "api": "plugins", "engine/graph": "engine/expr",
	} {
		if folder, ok := rule(from); !ok || allowed(folder, to) {
			t.Errorf("%s may import %s", from, to)
		}
	}
}

// The pure packages take no context and reach neither network nor chance.
func TestPurePackages(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, nil, "./engine/graph", "./engine/expr", "./engine/program", "./engine/machine") {
		for _, imp := range p.Imports {
			if slices.Contains([]string{"context", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "os", "log", "log/slog"}, imp) {
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
}

// What a guest links is what each of its instances carries.
func TestGuestLinksNoNetwork(t *testing.T) {
	t.Parallel()
	guest := []string{"GOOS=wasip1", "GOARCH=wasm"}
	for _, p := range list(t, guest, "./sdk", "./sdk/serve", "./examples/plugins/...") {
		for _, bad := range []string{"net", "net/http", "crypto/tls"} {
			if slices.Contains(p.Deps, bad) {
				t.Errorf("%s, built for wasip1, links %s", p.ImportPath, bad)
			}
		}
	}
}

// The built-in connectors are written on sdk alone, like anyone's.
func TestConnectorsUseSDKAlone(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, nil, "./connectors/...") {
		if path, _ := own(p.ImportPath); path == "connectors/connection" { // has an arrow of its own
			continue
		}
		for _, d := range p.Deps {
			if to, ours := own(d); ours && !under(to, "connectors", "sdk") {
				t.Errorf("%s depends on %s", p.ImportPath, to)
			}
			if d == "net/http" {
				t.Errorf("%s links net/http: HTTP goes through sdk.Host", p.ImportPath)
			}
		}
	}
}

// Every package says what it is, what it is not, and its one rule.
func TestPackagesHaveDocs(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, nil, "./...") {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// Registration is explicit: no package changes another by being imported.
func TestNoInitFunctions(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(root(t), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(src), "\nfunc init()") {
			t.Errorf("%s has an init function", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
