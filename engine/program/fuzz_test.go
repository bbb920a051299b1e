package program_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

// Whatever can be read can be built, or has problems.
func FuzzBuild(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatal("no testdata", err)
	}
	for _, name := range append(names, "../../examples/graphs/task-completed.yaml") {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, problems := graph.Parse(src, graph.YAML, graph.Limits{})
		if doc == nil {
			return
		}
		if p, more := program.Build(doc, fake{}); p == nil && len(problems)+len(more) == 0 {
			t.Fatal("neither a program nor a problem")
		}
	})
}
