package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine/graph"
)

func large(n int) string {
	var b strings.Builder
	b.WriteString("name: large\ntrigger: {use: manual}\nsteps:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - id: step%d
    if: trigger.n > %d
    use: http.post
    with:
      url: https://example.com/%d
      body:
        title: Task ${{ trigger.title }} is done
        tags: ${{ trigger.tags }}
    retry: {max_attempts: 5, initial_interval: 1s}
    timeout: 30s
`, i, i, i)
	}
	return b.String()
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{5, 1000} {
		yaml := large(n)
		doc, _ := graph.Parse([]byte(yaml), graph.YAML, graph.Limits{})
		for _, x := range []struct {
			f   graph.Format
			src []byte
		}{{graph.YAML, []byte(yaml)}, {graph.JSON, doc.JSON()}} {
			b.Run(fmt.Sprintf("%s/%d", x.f, n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(x.src)))
				for b.Loop() {
					if doc, problems := graph.Parse(x.src, x.f, graph.Limits{}); doc == nil || len(problems) > 0 {
						b.Fatal(problems)
					}
				}
			})
		}
	}
}
