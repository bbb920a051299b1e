package graph_test

import (
	"testing"

	"github.com/tappet-dev/tappet/engine/graph"
)

func seed(f *testing.F) {
	f.Helper()
	for _, name := range []string{"all.yaml", "small.json"} {
		f.Add(mustRead(f, "testdata/valid/"+name))
	}
	for _, name := range []string{"after.yaml", "unknown.yaml", "profile.yaml", "later.yaml", "duplicate.json"} {
		f.Add(mustRead(f, "testdata/invalid/"+name))
	}
	const head = `{"name":"a","trigger":{"use":"a"},"steps":[{"id":"a","set":`
	for _, s := range []string{`"a\n b\n"`, `"\ta: #\u0085\ufeff"`, `{"":"- x"," a ":[[[{}]],{"a":[]}]}`, `"a\n\n\nb"`, `"\u2028"`, `1e-4`, `"0x1"`, `"\n"`} {
		f.Add([]byte(head + s + `}]}`))
	}
}

func fuzz(f *testing.F, format graph.Format) {
	f.Helper()
	seed(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, problems := graph.Parse(src, format, graph.Limits{})
		if doc == nil {
			if len(problems) == 0 {
				t.Fatal("neither a document nor a problem")
			}
			return
		}
		if len(problems) == 0 {
			wantLossless(t, doc)
		}
	})
}

func FuzzParseYAML(f *testing.F) { fuzz(f, graph.YAML) }

func FuzzParseJSON(f *testing.F) { fuzz(f, graph.JSON) }
