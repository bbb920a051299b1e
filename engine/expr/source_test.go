package expr

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSources(t *testing.T) {
	t.Parallel()
	sc := newScope(t)
	text := func(src string) *Template {
		t.Helper()
		tm, problems := Text(src, sc)
		if tm == nil {
			t.Fatal(problems)
		}
		return tm
	}
	tree := Object([]Member{
		{"fixed", text("plain")},
		{"a/b", text(`${{ trigger.body.title }}`)},
		{"list", List([]*Template{
			text(`x`),
			text(`${{ trigger.body.title }}-${{ step("entry").status }}: ${{ steps.entry.body.title }}`),
			text(`${{ let b = trigger.body; b.n + 1 }}`),
			text(`${{ map(filter(trigger.body.items, .price > trigger.body.f), .name) }}`),
			text(`${{ trigger.body.items[trigger.body.n].name ?? "" }}`),
			text(`${{ trigger.body.open["é\""] }}`),
			text(`${{ x.a.b == x.a.b ? x : x.a }}`),
			text(`${{ 1 + 1 }}`),
			text(`${{ trigger.body.items[0].name ?? trigger.body.items[-1]["price"] }}`),
			text(`${{ trigger.body.free[1][2] == first(trigger.body.free[0].a) }}`),
		})},
	})
	want := []Source{
		{"/a~1b", `${{ trigger.body.title }}`, []string{"trigger.body.title"}},
		{
			"/list/1", `${{ trigger.body.title }}-${{ step("entry").status }}: ${{ steps.entry.body.title }}`,
			[]string{`step("entry").status`, "steps.entry.body.title", "trigger.body.title"},
		},
		{"/list/2", `${{ let b = trigger.body; b.n + 1 }}`, []string{"trigger.body"}},
		{"/list/3", `${{ map(filter(trigger.body.items, .price > trigger.body.f), .name) }}`, []string{"trigger.body.f", "trigger.body.items"}},
		{"/list/4", `${{ trigger.body.items[trigger.body.n].name ?? "" }}`, []string{"trigger.body.items", "trigger.body.n"}},
		{"/list/5", `${{ trigger.body.open["é\""] }}`, []string{`trigger.body.open["é\""]`}},
		{"/list/6", `${{ x.a.b == x.a.b ? x : x.a }}`, []string{"x", "x.a", "x.a.b"}},
		{"/list/7", `${{ 1 + 1 }}`, nil},
		{"/list/8", `${{ trigger.body.items[0].name ?? trigger.body.items[-1]["price"] }}`, []string{"trigger.body.items[-1].price", "trigger.body.items[0].name"}},
		{"/list/9", `${{ trigger.body.free[1][2] == first(trigger.body.free[0].a) }}`, []string{"trigger.body.free[0].a", "trigger.body.free[1][2]"}},
	}
	if diff := cmp.Diff(want, tree.Sources()); diff != "" {
		t.Error(diff)
	}
	if got := text("plain").Sources(); got != nil {
		t.Error(got)
	}
}
