package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine/program"
)

// newRoutes makes a table of routes "METHOD[,METHOD] path", each of a graph that
// is named by its number.
func newRoutes(t testing.TB, lines ...string) *routeTable {
	t.Helper()
	bindings := map[GraphID]*binding{}
	for i, line := range lines {
		methods, path, _ := strings.Cut(line, " ")
		p, err := program.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		id := GraphID(i + 1)
		bindings[id] = &binding{route: &route{graph: id, path: p, methods: strings.Split(methods, ",")}}
	}
	return newRouteTable(bindings)
}

func TestRoutesAreFound(t *testing.T) {
	t.Parallel()
	table := newRoutes(t, "POST orders", "POST,PUT orders/{id}", "GET orders/new", "POST orders/{id}/items/{item}",
		"POST {kind}/5/items/{item}", "GET orders/{id}", "POST a/{x}", "POST {y}/b", "POST {y}/c/d")
	for _, tt := range []struct {
		method, path string
		graph        GraphID
		allow        string
	}{
		{"POST", "orders", 1, ""},
		{"POST", "orders/7", 2, ""},
		{"GET", "orders/7", 6, ""},
		{"GET", "orders/new", 3, ""},
		{"POST", "orders/new", 2, ""}, // the literal path takes GET alone
		{"DELETE", "orders/new", 0, "GET POST PUT"},
		{"DELETE", "orders", 0, "POST"},
		{"POST", "orders/7/items/1", 4, ""},
		{"POST", "orders/5/items/1", 4, ""}, // literal first, from the left
		{"POST", "bills/5/items/1", 5, ""},
		{"POST", "a/b", 7, ""},
		{"POST", "b/b", 8, ""},
		{"POST", "a/c/d", 9, ""}, // a/{x} leads nowhere: back to {y}
		{"POST", "orders//items/1", 0, ""},
		{"POST", "orders/7/items", 0, ""},
		{"POST", "", 0, ""},
		{"POST", "ORDERS", 0, ""},
		{"POST", "orders%2F7", 0, ""},
	} {
		r, others := table.find(tt.path, tt.method)
		allow := methods(others)
		var got GraphID
		if r != nil {
			got = r.graph
		}
		if got != tt.graph || strings.Join(allow, " ") != tt.allow {
			t.Errorf("%s %s: graph %d, allow %q; want %d, %q", tt.method, tt.path, got, allow, tt.graph, tt.allow)
		}
	}
}

func TestRivalsTakeTheSameRequests(t *testing.T) {
	t.Parallel()
	table := newRoutes(t, "POST orders/{id}", "POST orders", "GET,PUT orders/{id}/items")
	for line, rival := range map[string]GraphID{
		"POST orders": 2, "PUT,POST orders": 2, "GET orders": 0,
		"POST orders/{x}": 1, "POST {x}/orders": 0, "POST orders/new": 0, "POST {orders}": 0,
		"PUT orders/{x}/items": 3, "POST orders/{x}/items": 0, "PUT orders/{x}/items/{y}": 0,
	} {
		methods, path, _ := strings.Cut(line, " ")
		p, err := program.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		var got GraphID
		if r := table.rival(&route{graph: 9, path: p, methods: strings.Split(methods, ",")}); r != nil {
			got = r.graph
		}
		if got != rival {
			t.Errorf("%s: rival %d, want %d", line, got, rival)
		}
	}
	own := *table.literal["orders"][0]
	if r := table.rival(&own); r != nil {
		t.Error("a graph is its own rival")
	}
}

// A lookup takes no memory, whatever there is.
func TestALookupAllocatesNothing(t *testing.T) {
	table := newRoutes(t, "POST orders", "POST orders/{id}/items/{item}", "POST {a}/{b}/{c}/{d}/e")
	if n := testing.AllocsPerRun(100, func() {
		if r, _ := table.find("orders/7/items/1", "POST"); r == nil {
			t.Error("no route")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRoutes compares 10 routes with 10,000: the times are alike.
func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		lines := make([]string, 0, n)
		for i := range n / 2 {
			lines = append(lines, fmt.Sprintf("POST hook-%d", i), fmt.Sprintf("POST shop-%d/{id}/items/{item}", i))
		}
		table := newRoutes(b, lines...)
		for name, path := range map[string]string{"literal": "hook-3", "parameters": "shop-3/4711/items/12", "none": "shop-3/4711"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if r, _ := table.find(path, "POST"); (r == nil) != (name == "none") {
						b.Fatal(r)
					}
				}
			})
		}
	}
}

// BenchmarkRouteTable is what turning one graph ON costs beside 10,000 others.
func BenchmarkRouteTable(b *testing.B) {
	bindings := map[GraphID]*binding{}
	for i := range 10_000 {
		p, err := program.ParsePath(fmt.Sprintf("shop-%d/%s/items", i/2, []string{"{id}", "all"}[i%2]))
		if err != nil {
			b.Fatal(err)
		}
		bindings[GraphID(i)] = &binding{route: &route{graph: GraphID(i), path: p, methods: []string{"POST"}}}
	}
	for b.Loop() {
		newRouteTable(bindings)
	}
}
