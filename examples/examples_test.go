package examples_test

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/connectors"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/examples"
)

// builtin is the built-in connectors alone.
type builtin struct{}

var _ engine.Connectors = builtin{}

func (builtin) Connectors() (out []engine.Connector) {
	for _, c := range connectors.Builtin() {
		out = append(out, engine.Connector{Connector: &c, Origin: "builtin"})
	}
	return out
}

func (b builtin) Connector(name string) (engine.Connector, error) {
	for _, c := range b.Connectors() {
		if c.Name == name {
			return c, nil
		}
	}
	return engine.Connector{}, &engine.Error{Kind: engine.NotFound, Err: errors.New("there is no such connector")}
}

func (b builtin) At(name, _ string) (engine.Connector, error) { return b.Connector(name) }

func TestGraphsHaveNoProblems(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(examples.Graphs, "graphs/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("the examples are %v, error %v", files, err)
	}
	for _, file := range files {
		t.Run(path.Base(file), func(t *testing.T) {
			t.Parallel()
			src, err := examples.Graphs.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			doc, problems := graph.Parse(src, graph.YAML, graph.Limits{})
			if doc != nil {
				_, more := program.Build(doc, engine.Installed(builtin{}))
				problems = append(problems, more...)
			}
			if len(problems) > 0 { // warnings too
				t.Fatalf("%v", problems)
			}
			if want := strings.TrimSuffix(path.Base(file), ".yaml"); doc.Name != want {
				t.Errorf("the graph is named %q, its file %q", doc.Name, want)
			}
			if doc.Description == "" {
				t.Error("the graph has no description")
			}
		})
	}
}
