package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/sdk"
)

// judge runs a graph of one step with an action whose calls answer gives, and
// tells what has become of the step and which calls were made: their inputs.
func judge(t *testing.T, step string, answer func(n int, input string) (string, error)) (view engine.StepView, inputs []string, b *bench) {
	t.Helper()
	b = newBench(t, t.TempDir())
	n := 0
	b.does(func(_ context.Context, c sdk.ActionCall) (sdk.Result, error) {
		n++
		out, err := answer(n, string(c.Input.JSON()))
		if out == "" {
			return sdk.Result{}, err
		}
		return sdk.Result{Output: json.RawMessage(out)}, err
	})
	b.on("name: paged\ntrigger: {use: test.hook, with: {path: paged}}\nsteps:\n  - {id: a, set: {limit: 2}}\n  - {id: s, use: test.act, " + step + "}\n")
	run := b.ended(b.mustPost("paged", "", `{"n":2}`).Run)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		inputs = append(inputs, strings.ReplaceAll(string(c.Input.JSON()), `\u0026`, "&"))
	}
	for _, s := range run.Steps {
		if s.ID == "s" {
			view = s
		}
	}
	return view, inputs, b
}

func refused(kind sdk.Kind) error { return &sdk.Error{Kind: kind, Err: errors.New("refused")} }

func TestSuccessWhen(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		when, output string
		err          error
		// kind is "" for a success.
		kind    string
		message string
	}{
		"a refusal is made a success":                        {"output.status == 404", `{"status":404}`, refused(sdk.NotFound), "", ""},
		"a refusal that isn't one stays what it was":         {"output.status == 404", `{"status":503}`, refused(sdk.Unavailable), "unavailable", "refused; success_when is false: output.status == 404"},
		"a success is made a failure":                        {"${{ output.body.ok }}", `{"body":{"ok":false}}`, nil, "failed", "success_when is false: ${{ output.body.ok }}"},
		"a success stays one":                                {"output.body.ok", `{"body":{"ok":true}}`, nil, "", ""},
		"it sees what `with` sees":                           {"output.n == trigger.body.n && output.n == steps.a.limit && run.attempt == 1", `{"n":2}`, nil, "", ""},
		"true takes every answer":                            {"true", `{"status":500}`, refused(sdk.Unavailable), "", ""},
		"no answer can't be judged":                          {"true", ``, refused(sdk.Unavailable), "unavailable", "refused"},
		"an error of the expression is the step's":           {"output.a + 1 == 2", `{"a":"x"}`, nil, machine.KindExpression, ""},
		"an error of the expression doesn't hide the call's": {"output.a + 1 == 2", `{"a":"x"}`, refused(sdk.Unavailable), "unavailable", "refused"},
		"a result that isn't JSON isn't judged":              {"true", `{"a":`, nil, "failed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, _ := judge(t, `success_when: '`+x.when+`'`, func(int, string) (string, error) { return x.output, x.err })
			if x.kind == "" {
				if s.Err != nil || string(s.Output) != x.output {
					t.Fatalf("%v, output %s, want the output", s.Err, s.Output)
				}
				return
			}
			if s.Err == nil || s.Err.Kind != x.kind || x.message != "" && s.Err.Message != x.message {
				t.Fatalf("%+v, want kind %s and %q", s.Err, x.kind, x.message)
			}
			if want := x.output; x.kind != "failed" || x.message != "" {
				if string(s.Err.Data) != want {
					t.Errorf("data %s, want %s", s.Err.Data, want)
				}
			}
			if retryable := x.kind == "unavailable"; s.Err.Retryable != retryable {
				t.Errorf("retryable %t, want %t", s.Err.Retryable, retryable)
			}
		})
	}
}

func TestSuccessWhenIsForRetryOn(t *testing.T) {
	t.Parallel()
	s, inputs, _ := judge(t, `success_when: output.done, retry: {max_attempts: 5, initial_interval: 1ms, on: [failed]}`,
		func(n int, _ string) (string, error) { return fmt.Sprintf(`{"done":%t}`, n == 3), nil })
	if s.Err != nil || string(s.Output) != `{"done":true}` || len(inputs) != 3 || len(s.Attempts) != 3 {
		t.Errorf("%v, %s after %d calls and %d attempts", s.Err, s.Output, len(inputs), len(s.Attempts))
	}
	s, inputs, _ = judge(t, `success_when: output.done, retry: {max_attempts: 5, initial_interval: 1ms}`,
		func(int, string) (string, error) { return `{"done":false}`, nil })
	if s.Err == nil || len(inputs) != 1 {
		t.Errorf("a plain retry repeats what isn't retryable: %v, %d calls", s.Err, len(inputs))
	}
}

func TestPaginateWays(t *testing.T) {
	t.Parallel()
	answers := func(out ...string) func(int, string) (string, error) {
		return func(n int, _ string) (string, error) {
			if n > len(out) {
				return "", refused(sdk.Invalid)
			}
			return out[n-1], nil
		}
	}
	const u = `"url":"https://x.test/a?per_page=2"`
	for name, x := range map[string]struct {
		step    string
		answers []string
		want    string
		inputs  []string
	}{
		"next, relative and absolute": {
			`with: {url: "https://x.test/a?per_page=2"}, paginate: {next: "${{ output.next }}", items: output.items}`,
			[]string{`{"items":[1,2],"next":"?page=2"}`, `{"items":[3],"next":"HTTPS://X.test:443/b?c=%7E"}`, `{"items":[],"next":"/d"}`, `{"items":[4],"next":null}`},
			`[1,2,3,4]`,
			[]string{`{` + u + `}`, `{"url":"https://x.test/a?page=2"}`, `{"url":"HTTPS://X.test:443/b?c=%7E"}`, `{"url":"https://X.test:443/d"}`},
		},
		"an empty next ends, too": {
			`with: {url: "https://x.test"}, paginate: {next: "${{ output.next }}", items: output.items}`,
			[]string{`{"items":[{"a": 12345678901234567890}],"next":""}`},
			`[{"a": 12345678901234567890}]`,
			[]string{`{"url":"https://x.test"}`},
		},
		"link; the URL's parameters aren't sent twice": {
			`with: {url: "https://x.test/a", query: {per_page: 2, key: k, tags: [x]}}, paginate: {link: next, items: output.body}`,
			[]string{
				`{"headers":{"link":"</a?per_page=2&tags[]=x&page=2>; rel=\"next\", </a?page=9>; rel=last"},"body":[1,2]}`,
				`{"headers":{"link":["</a>; rel=prev","</c>; rel=next"]},"body":[3]}`, `{"headers":{"link":"</a>; rel=first"},"body":[4]}`,
			},
			`[1,2,3,4]`,
			[]string{
				`{"url":"https://x.test/a","query":{"per_page":2,"key":"k","tags":["x"]}}`,
				`{"url":"https://x.test/a?per_page=2&tags[]=x&page=2","query":{"key":"k"}}`,
				`{"url":"https://x.test/c","query":{"per_page":2,"key":"k","tags":["x"]}}`,
			},
		},
		"no Link header at all": {
			`with: {url: "https://x.test/a"}, paginate: {link: next, items: output.body}`, []string{`{"body":[1]}`}, `[1]`, []string{`{"url":"https://x.test/a"}`},
		},
		"page": {
			`with: {query: {q: x}}, paginate: {page: {field: query.page}, items: output}`,
			[]string{`[1,2]`, ` [ 3 ] `, `[]`},
			`[1,2,3]`,
			[]string{`{"query":{"q":"x","page":1}}`, `{"query":{"q":"x","page":2}}`, `{"query":{"q":"x","page":3}}`},
		},
		"page by tens from 0, in a field that isn't there": {
			`paginate: {page: {field: /body/a.b/c, start: 0, step: 10}, items: output}`,
			[]string{`[1]`, `[]`},
			`[1]`,
			[]string{`{"body":{"a.b":{"c":0}}}`, `{"body":{"a.b":{"c":10}}}`},
		},
		"offset by what was got": {
			`paginate: {offset: {field: skip}, items: output}`, []string{`[1,2]`, `[3]`, `[]`}, `[1,2,3]`, []string{`{"skip":0}`, `{"skip":2}`, `{"skip":3}`},
		},
		"offset by a size": {
			`paginate: {offset: {field: skip, start: 1, by: 50}, items: output}`, []string{`[1,2]`, `[]`}, `[1,2]`, []string{`{"skip":1}`, `{"skip":51}`},
		},
		"cursor of any kind": {
			`with: {after: first}, paginate: {cursor: {field: after, value: "${{ output.c }}"}, items: output.i}`,
			[]string{`{"i":[1],"c":{"k":[1,2]}}`, `{"i":[],"c":7}`, `{"i":[2],"c":null}`},
			`[1,2]`,
			[]string{`{"after":"first"}`, `{"after":{"k":[1,2]}}`, `{"after":7}`},
		},
		"until": {
			`paginate: {page: {field: p}, items: output, until: "page == trigger.body.n || 9 in output"}`,
			[]string{`[1]`, `[2]`},
			`[1,2]`,
			[]string{`{"p":1}`, `{"p":2}`},
		},
		"on_limit: stop": {
			`paginate: {page: {field: p}, items: output, max_pages: 2, on_limit: stop}`, []string{`[1]`, `[2]`}, `[1,2]`, []string{`{"p":1}`, `{"p":2}`},
		},
		"computed items": {
			`paginate: {page: {field: p}, items: "map(output, # * 2)", delay: 1ms}`,
			[]string{`[1,2]`, `[3]`, `[]`},
			`[2,4,6]`,
			[]string{`{"p":1}`, `{"p":2}`, `{"p":3}`},
		},
		"a page that success_when takes": {
			`success_when: output.end == true || output.ok == true, paginate: {page: {field: p}, items: "output.i ?? []"}`,
			[]string{`{"ok":true,"i":[1]}`, `{"end":true}`},
			`[1]`,
			[]string{`{"p":1}`, `{"p":2}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, inputs, _ := judge(t, x.step, answers(x.answers...))
			if s.Err != nil || string(s.Output) != x.want {
				t.Errorf("%v, output %s, want %s", s.Err, s.Output, x.want)
			}
			if diff := cmp.Diff(x.inputs, inputs); diff != "" {
				t.Errorf("inputs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPaginateFailures(t *testing.T) {
	t.Parallel()
	same := func(out string) func(int, string) (string, error) {
		return func(int, string) (string, error) { return out, nil }
	}
	const next = `with: {url: "https://x.test/a"}, paginate: {next: "${{ output.next }}", items: output.i`
	for name, x := range map[string]struct {
		step    string
		answer  func(int, string) (string, error)
		kind    string
		message string
		pointer string
		calls   int
	}{
		"a URL that leads to itself": {
			next + `, max_pages: 7}`, same(`{"i":[1],"next":"/a"}`), machine.KindLimit, "there is more after 7 pages", "/steps/1/paginate/max_pages", 7,
		},
		"more than the default of pages": {
			`paginate: {page: {field: p}, items: output}`, same(`[1]`), machine.KindLimit, "there is more after 100 pages", "/steps/1/paginate/max_pages", 100,
		},
		"items that are no list": {
			`paginate: {page: {field: p}, items: output.i}`, same(`{"i":{"a":1}}`), machine.KindExpression, "items must be the list of a page; it gave an object", "/steps/1/paginate/items", 1,
		},
		"items that are absent": {
			`paginate: {page: {field: p}, items: output.i}`, same(`{}`), machine.KindExpression, "null; write ?? []", "/steps/1/paginate/items", 1,
		},
		"until fails": {
			`paginate: {page: {field: p}, items: output, until: "output[0] + 1 > 1"}`, same(`["x"]`), machine.KindExpression, "", "/steps/1/paginate/until", 1,
		},
		"another host":                {next + `}`, same(`{"i":[1],"next":"https://evil.test/a"}`), "denied", "another origin than https://x.test:443", "", 1},
		"another host without scheme": {next + `}`, same(`{"i":[1],"next":"//evil.test/a"}`), "denied", "https://evil.test:443", "", 1},
		"another scheme":              {next + `}`, same(`{"i":[1],"next":"http://x.test/a"}`), "denied", "another origin", "", 1},
		"another port":                {next + `}`, same(`{"i":[1],"next":"https://x.test:444/a"}`), "denied", "another origin", "", 1},
		"no web address":              {next + `}`, same(`{"i":[1],"next":"file:///etc/passwd"}`), "denied", "another origin", "", 1},
		"an opaque address":           {next + `}`, same(`{"i":[1],"next":"javascript:x"}`), "denied", "another origin", "", 1},
		"a URL that can't be read":    {next + `}`, same(`{"i":[1],"next":"http://[x/%zz"}`), "failed", "the next URL can't be read", "", 1},
		"a URL that is no text":       {next + `}`, same(`{"i":[1],"next":[1]}`), "failed", "the next URL must be a text", "", 1},
		"a URL without end":           {next + `}`, same(`{"i":[1],"next":"/` + strings.Repeat("a", 70<<10) + `"}`), "too_large", "what leads to the next page", "", 1},
		"a Link header of another host": {
			`with: {url: "https://x.test/a"}, paginate: {link: next, items: output.i}`, same(`{"i":[1],"headers":{"link":"<https://evil.test>; rel=next"}}`), "denied", "another origin", "", 1,
		},
		"a cursor into a field with a URL": {
			`with: {endpoint: "https://x.test/a"}, paginate: {cursor: {field: endpoint, value: "${{ output.next }}"}, items: output.i}`,
			same(`{"i":[1],"next":"https://evil.test"}`), "denied", "another origin", "", 1,
		},
		"a step without a URL":         {`paginate: {link: next, items: output}, with: {url: x}`, same(`[1]`), "invalid", "holds no absolute URL", "", 0},
		"a field in what is no object": {`with: {query: text}, paginate: {page: {field: query.page}, items: output}`, same(`[1]`), "invalid", `"query" must be an object`, "", 0},
		"the third page fails": {
			`paginate: {page: {field: p}, items: output.i}`, func(n int, _ string) (string, error) {
				if n == 3 {
					return `{"status":503}`, refused(sdk.Unavailable)
				}
				return `{"i":[1]}`, nil
			}, "unavailable", "page 3: refused", "", 3,
		},
		"the second page is no success": {
			`success_when: output.ok, paginate: {page: {field: p}, items: "[1]"}`, func(n int, _ string) (string, error) {
				return fmt.Sprintf(`{"ok":%t}`, n < 2), nil
			}, "failed", "page 2: success_when is false: output.ok", "", 2,
		},
		"the items of the second page": {
			`paginate: {page: {field: p}, items: output.i}`, func(n int, _ string) (string, error) {
				return map[bool]string{true: `{"i":[1]}`, false: `{"i":1}`}[n < 2], nil
			}, machine.KindExpression, "page 2: items must be", "/steps/1/paginate/items", 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, inputs, _ := judge(t, x.step, x.answer)
			if s.Err == nil {
				t.Fatalf("the step gives %s, want kind %s", s.Output, x.kind)
			}
			if s.Err.Kind != x.kind || !strings.Contains(s.Err.Message, x.message) || s.Err.Pointer != x.pointer || s.Err.Step != "s" {
				t.Errorf("%+v, want kind %s, %q at %s", s.Err, x.kind, x.message, x.pointer)
			}
			if len(inputs) != x.calls {
				t.Errorf("%d calls, want %d", len(inputs), x.calls)
			}
			if retryable := x.kind == "unavailable"; s.Err.Retryable != retryable {
				t.Errorf("retryable %t, want %t", s.Err.Retryable, retryable)
			}
		})
	}
}

// The list is bounded as every output is, and so is what is held meanwhile.
func TestPaginateIsBounded(t *testing.T) {
	t.Parallel()
	page := `["` + strings.Repeat("x", 1<<20) + `"]`
	s, inputs, _ := judge(t, `paginate: {page: {field: p}, items: output, max_pages: 10000}`, func(int, string) (string, error) { return page, nil })
	if s.Err == nil || s.Err.Kind != string(sdk.TooLarge) || !strings.Contains(s.Err.Message, "limits.output_bytes") {
		t.Errorf("%+v, want kind too_large", s.Err)
	}
	if len(inputs) != 16 {
		t.Errorf("%d pages of 1 MiB were asked for, want 16: the last one doesn't fit", len(inputs))
	}
}

// Each page has a key of its own, and the next attempt, which begins with the
// first page, has the same ones for the same requests.
func TestPaginateKeys(t *testing.T) {
	t.Parallel()
	s, inputs, b := judge(t, `paginate: {page: {field: p}, items: output}, retry: {max_attempts: 2, initial_interval: 1ms}`,
		func(n int, _ string) (string, error) {
			switch n {
			case 3:
				return "", refused(sdk.Unavailable)
			case 6:
				return "[]", nil
			}
			return fmt.Sprintf("[%d]", n), nil
		})
	if s.Err != nil || string(s.Output) != "[4,5]" || len(s.Attempts) != 2 {
		t.Fatalf("%v, %s after %d attempts", s.Err, s.Output, len(s.Attempts))
	}
	want := []string{`{"p":1}`, `{"p":2}`, `{"p":3}`, `{"p":1}`, `{"p":2}`, `{"p":3}`}
	if diff := cmp.Diff(want, inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[string]bool{}
	for i, c := range b.calls[:3] {
		if len(c.IdempotencyKey) != 32 || c.IdempotencyKey != b.calls[i+3].IdempotencyKey {
			t.Errorf("page %d: keys %q and %q", i+1, c.IdempotencyKey, b.calls[i+3].IdempotencyKey)
		}
		seen[c.IdempotencyKey] = true
	}
	if len(seen) != 3 {
		t.Errorf("three pages have %d keys", len(seen))
	}
}

// The step's timeout is of all pages of an attempt, pauses too.
func TestPaginateTimeout(t *testing.T) {
	t.Parallel()
	s, inputs, _ := judge(t, `timeout: 50ms, paginate: {page: {field: p}, items: output, delay: 1h}`, func(int, string) (string, error) { return "[1]", nil })
	if s.Err == nil || s.Err.Kind != machine.KindTimeout || len(inputs) != 1 {
		t.Errorf("%+v after %d calls, want kind timeout after 1", s.Err, len(inputs))
	}
	s, _, _ = judge(t, `timeout: 20ms, paginate: {page: {field: p}, items: output, max_pages: 10000}`, func(int, string) (string, error) {
		<-time.After(time.Millisecond) // a connector that doesn't look at its context
		return "[1]", nil
	})
	if s.Err == nil || s.Err.Kind != machine.KindTimeout {
		t.Errorf("%+v, want kind timeout", s.Err)
	}
}

// An editor knows the output where an expression is about it.
func TestExpressionsAboutResultsAreTriedAndCompleted(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on("name: paged\ntrigger: {use: test.hook, with: {path: paged}}\nsteps:\n  - {id: s, use: test.act, paginate: {page: {field: p}, items: output}}\n  - {id: v, set: 1}\n")
	labels := func(step, key string) string {
		c, err := b.Complete(t.Context(), engine.Completing{Source: "out", Cursor: 3, Sample: engine.Sample{Graph: "paged", Step: step, Key: key}})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, i := range c.Items {
			out = append(out, i.Label)
		}
		return strings.Join(out, " ")
	}
	for key, want := range map[string]string{"success_when": "output", "paginate": "output", "with": "", "": ""} {
		if got := labels("s", key); got != want {
			t.Errorf("in %q: %q, want %q", key, got, want)
		}
	}
	out, err := b.Evaluate(t.Context(), engine.Evaluation{Expression: "output.next + page", Sample: engine.Sample{
		Graph: "paged", Step: "s", Key: "paginate", Steps: map[string]json.RawMessage{"s": json.RawMessage(`{"next":41}`)},
	}})
	if err != nil || string(out.Value) != "42" {
		t.Errorf("%s, %v, %v, want 42", out.Value, out.Problems, err)
	}
	if _, err := b.Complete(t.Context(), engine.Completing{Sample: engine.Sample{Graph: "paged", Step: "v", Key: "paginate"}}); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("%v, want kind not_found: the step has no results", err)
	}
}
