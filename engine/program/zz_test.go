package program_test
import ("testing";"fmt";"strings";"time";"github.com/tappet-dev/tappet/engine/program";"github.com/tappet-dev/tappet/engine/graph")
func TestZZ(t *testing.T){
 many := func(s string, n int) string { var b strings.Builder; for i := range n { fmt.Fprintf(&b, s, i) }; return b.String() }
 head := "name: x\ntrigger: {use: feed}\nsteps:\n"
 for n, src := range map[string]string{
  "unknown": head+"  - id: a\n    use: http.post\n    with: {"+many("k%d: 1, ", 90000)+"}\n",
  "unknown deep type": head+"  - id: a\n    use: http.post\n    with: {url: a, headers: {"+many("k%d: 1, ", 90000)+"}}\n",
  "exprs": head+"  - id: a\n    set: ["+many("'${{ nope%d }}', ", 50000)+"]\n",
  "good exprs": head+"  - id: a\n    set: ["+many("'${{ trigger.title + \"%d\" }}', ", 30000)+"]\n",
  "steps of exprs": head+many("  - {id: s%d, set: '${{ stps.a + stp.b }}'}\n", 1000),
  "after": head+"  - {id: z, set: 1}\n"+many("  - {id: s%d, set: 1}\n", 900)+"  - {id: last, set: 1, after: ["+many("s%d, ", 900)+"]}\n",
  "after many": head+"  - {id: z, set: 1, after: ["+many("s1, s%d, ", 60000)+"]}\n  - {id: s1, set: 1}",
  "with": head+many("  - {id: s%d, use: http.post, with: {url: '${{ steps }}'}}\n", 999),
 } {
  st := time.Now()
  doc, ps := graph.Parse([]byte(src), graph.YAML, graph.Limits{})
  d1 := time.Since(st)
  if doc == nil { t.Log(n, "nil", ps[0]); continue }
  st = time.Now()
  _, pr := program.Build(doc, fake{})
  t.Log(n, len(src), "parse", d1, len(ps), "build", time.Since(st), len(pr))
 }
}
