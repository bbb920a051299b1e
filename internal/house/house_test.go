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
	"go.yaml.in/yaml":                       {"engine/graph"},
	"github.com/santhosh-tekuri/jsonschema": {"engine/graph"},
	"github.com/expr-lang/expr":             {"engine/expr"},
	"github.com/cockroachdb/apd":            {"engine/expr"},
	"modernc.org/sqlite":                    {"engine/sqlite"},
	"database/sql":                          {"engine/sqlite"},
	"github.com/pressly/goose":              {"engine/sqlite"},
	"github.com/tetratelabs/wazero":         {"plugins/wasm"},
	"github.com/hashicorp/go-plugin":        {"plugins/native", "sdk/serve", "sdk/wire"},
	"google.golang.org/grpc":                {"plugins/native", "sdk/serve", "sdk/wire"},
	"github.com/fsnotify/fsnotify":          {"plugins"},
	"github.com/labstack/echo":              {"api"},
	"github.com/danielgtaylor/huma":         {"api"},
	"github.com/spf13/cobra":                {"cmd"},
	"github.com/netresearch/go-cron":        {"connectors/schedule"},
	"testing":                               {"engine/enginetest", "sdk/sdktest"},
}

// arrows names, for a part of the house, the parts that it may import. A part
// that isn't named may import anything of ours.
var arrows = map[string][]string{
	"sdk":               {"sdk/wire"},
	"sdk/wire":          {"sdk", "sdk/wire"},
	"sdk/serve":         {"sdk"},
	"sdk/sdktest":       {"sdk"},
	"engine/graph":      {},
	"engine/expr":       {},
	"engine/program":    {"engine/graph", "engine/expr"},
	"engine/machine":    {"engine/program", "engine/expr"},
	"engine":            {"engine/graph", "engine/expr", "engine/program", "engine/machine", "sdk"},
	"engine/local":      {"engine"},
	"engine/sqlite":     {"engine"},
	"engine/enginetest": {"engine"},
	"connectors":        {"connectors", "sdk"},
	"plugins":           {"plugins", "sdk"},
	"internal/egress":   {"sdk"},
	"internal/bench":    {"internal/bench", "api/client"},
	"api/client":        {},
	"api":               {"engine", "sdk"},
	"examples":          {"sdk", "examples"},
}

// part finds the entry of arrows for a package: the longest that holds it.
func part(path string) (string, bool) {
	best, found := "", false
	for p := range arrows {
		if under(path, p) && len(p) >= len(best) {
			best, found = p, true
		}
	}
	return best, found
}

func TestArrowsAndDoors(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, nil, "./...") {
		path, _ := own(p.ImportPath)
		from, bound := part(path)
		for _, imp := range p.Imports {
			if to, ours := own(imp); ours {
				if to == path || !bound {
					continue
				}
				if !slices.ContainsFunc(arrows[from], func(a string) bool { return exact(a, to) }) {
					t.Errorf("%s imports %s: %s may import %v", path, to, from, arrows[from])
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

// exact: engine means the package and what lies below it, except what has an
// entry of its own that the importer doesn't name.
func exact(allowed, to string) bool {
	if to == allowed {
		return true
	}
	return under(to, allowed) && (allowed == "connectors" || allowed == "plugins" || allowed == "sdk" || allowed == "engine" ||
		allowed == "internal/bench" || allowed == "examples" || allowed == "sdk/wire")
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
