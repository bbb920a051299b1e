package sse

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func blocks(src string) (out []string, retry time.Duration, err error) {
	p := parser{lines: bufio.NewReaderSize(strings.NewReader(src), 16)}
	for {
		b, err := p.next()
		if err != nil {
			return out, p.retry, err
		}
		out = append(out, fmt.Sprintf("%s %s %q", b.id, b.kind, b.data))
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		src  string
		want []string
	}{
		"one":                    {"data: a\n\n", []string{` message "a"`}},
		"lines and types":        {"event: add\ndata: a\ndata:\ndata:b\nid: 1\n\n", []string{`1 add "a\n\nb"`}},
		"all ends of lines":      {"data: a\r\ndata: b\rdata: c\n\r\n", []string{` message "a\nb\nc"`}},
		"an id lasts":            {"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", []string{`1 message "a"`, `1 message "b"`, ` message "c"`}},
		"an id without data":     {"id: 7\n\n", []string{`7  ""`}},
		"comments and strangers": {": hi\nfoo: bar\ndata: a\nretry: x\n\n", []string{` message "a"`}},
		"one blank alone":        {"data:  a\n\n", []string{` message " a"`}},
		"cut off":                {"data: a\n", nil},
		"a byte order mark":      {"\ufeffdata: a\n\n", []string{` message "a"`}},
		"a NUL in an id":         {"id: a\x00\ndata: a\n\n", []string{` message "a"`}},
		"no UTF-8":               {"data: \xff\n\n", []string{` message "` + "\ufffd" + `"`}},
	} {
		got, _, _ := blocks(x.src)
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, retry, _ := blocks("retry: 1500\n\n"); retry != 1500*time.Millisecond {
		t.Errorf("retry = %s", retry)
	}
	for _, src := range []string{"data: " + strings.Repeat("x", maxEvent+1), strings.Repeat("data: "+strings.Repeat("x", 1<<16)+"\n", 17)} {
		if _, _, err := blocks(src); !errors.Is(err, errLong) {
			t.Errorf("%.20q…: %v; want %v", src, err, errLong)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, src := range []string{
		"id: 1\nevent: a\rdata: b\r\n\n: c\nretry: 5\n\n",
		"\ufeffdata: a\ndata\ndata:b\n\n",             // a mark, and lines without a colon or blank
		"data: a\r\n\r\ndata: b\r\rdata: c\n\n",       // all ends of lines, also in pairs
		"id: a\x00b\nid: 7\n\nid\ndata: x\n\n",        // an id with NUL, one without data, one taken back
		"retry: -1\nretry: 99999999999\nretry: 0\n\n", // waits that aren't taken
		"event: tick\n\nevent: tick\ndata: \xff\n\n",  // a type without data, and no UTF-8
		": comment\n:\nfoo: bar\n\ndata: cut o",
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		got, retry, err := blocks(src)
		if retry < 0 || retry > 1<<31*time.Millisecond {
			t.Errorf("retry = %s", retry)
		}
		if err == nil || len(got) > strings.Count(src, "\n")+strings.Count(src, "\r") {
			t.Errorf("%d blocks, %v", len(got), err)
		}
	})
}
