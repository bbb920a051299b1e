package program_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine/program"
)

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, params, err string }{
		{"task-completed", "", ""},
		{"/a/b.c~_/", "", ""},
		{"orders/{id}/items/{item_2}", "id item_2", ""},
		{"{x}", "x", ""},
		{strings.Repeat("{a}/", 2), "", "{a} is there twice"},
		{"a//b", "", "a segment of the path is empty"},
		{"", "", "a segment of the path is empty"},
		{"a/{}", "", "names no parameter"},
		{"a/{Id}", "", "names no parameter"},
		{"a/{1}", "", "names no parameter"},
		{"a/{_a}", "", "names no parameter"},
		{"a/x{id}", "", "is no segment of a path"},
		{"a/{id}.json", "", "is no segment of a path"},
		{"a/{b", "", "is no segment of a path"},
		{"a?b", "", "is no segment of a path"},
		{"{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}", "", "the path has 17 parameters; the most are 16"},
	} {
		p, err := program.ParsePath(tt.text)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: %v, want %q", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || strings.Join(p.Params(), " ") != tt.params || p.String() != strings.Trim(tt.text, "/") {
			t.Errorf("%q: %q with %q, %v", tt.text, p, p.Params(), err)
		}
	}
}

// What is read as a path is written and read as the same.
func FuzzPath(f *testing.F) {
	f.Add("a/{b}/c")
	f.Add("//{}{")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := program.ParsePath(text)
		if err != nil {
			return
		}
		q, err := program.ParsePath(p.String())
		if err != nil || !slices.Equal(p, q) {
			t.Errorf("%q is %q, and then %q, %v", text, p, q, err)
		}
	})
}
