package weblink_test

import (
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine/internal/weblink"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		``:                                     "",
		`<https://a.test/?page=2>; rel="next"`: "https://a.test/?page=2",
		`<https://a.test/?page=1>; rel="prev", <https://a.test/?page=3>; rel="next"`: "https://a.test/?page=3",
		`</b>; rel=next`:                                  "/b",
		`</b>;rel=NEXT ; title=x`:                         "/b",
		`</b>  ;  Rel = "next"`:                           "/b",
		`</b>; rel="last next"`:                           "/b",
		`</b>; rel="last"; rel="next"`:                    "",
		`</b>; title="a, <c>; rel=\"next\""; rel=next`:    "/b",
		`</b>; title*=UTF-8''x%20y; rel=next`:             "/b",
		`</b,c>; rel=next`:                                "/b,c",
		`</b>; crossorigin; rel=next`:                     "/b",
		`</b>; rel=next; anchor="/other"`:                 "",
		`</b>; anchor="/other"; rel=next, </c>; rel=next`: "/c",
		`,, , </b>; rel=next,`:                            "/b",
		`</b>; rel=nextish`:                               "",
		`</b>; rel=`:                                      "",
		`<>; rel=next`:                                    "",
		`</b; rel=next`:                                   "",
		`/b; rel=next`:                                    "",
		`</a>; rel=prev nonsense </b>; rel=next`:          "",
		`</a> nonsense, </b>; rel=next`:                   "",
		`</b>; rel="next`:                                 "/b",
		`</b>; rel="ne\xt"`:                               "/b",
	} {
		if got, _ := weblink.Find(field, "next"); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	if got, ok := weblink.Find(`<>; rel=next`, "next"); got != "" || !ok {
		t.Errorf("an empty target is a target: %q, %t", got, ok)
	}
}

func BenchmarkFind(b *testing.B) {
	field := strings.Repeat(`<https://api.example.com/items?page=1>; rel="prev", `, 4) + `<https://api.example.com/items?page=3>; rel="next"`
	b.SetBytes(int64(len(field)))
	for b.Loop() {
		if _, ok := weblink.Find(field, "next"); !ok {
			b.Fatal("not found")
		}
	}
}

// What is found stands in the field.
func FuzzFind(f *testing.F) {
	for _, s := range []string{
		``, `<a>; rel="next"`, `<a>; rel="prev", <b>; rel=next; anchor=x`, `<a`, `<a>; rel="\`, `;,<>`, `<a>;;;=;="";rel="a next",`,
	} {
		f.Add(s, "next")
	}
	f.Fuzz(func(t *testing.T, field, rel string) {
		target, ok := weblink.Find(field, rel)
		if ok && !strings.Contains(field, "<"+target+">") {
			t.Fatalf("%q isn't in %q", target, field)
		}
		if !ok && target != "" {
			t.Fatalf("%q and not found", target)
		}
	})
}
