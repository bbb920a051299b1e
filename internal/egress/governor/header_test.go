package governor

import (
	"math"
	"testing"
	"time"
)

func headerTime() time.Time { return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) }

func TestRetryAfterValues(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]time.Duration{
		"":                                0,
		"0":                               0,
		"7":                               7 * time.Second,
		" 7 ":                             7 * time.Second,
		"1.5":                             1500 * time.Millisecond,
		"-1":                              0,
		"soon":                            0,
		"1e9":                             0,
		"99999999999999999":               math.MaxInt64,
		"999999999999999999999999":        0,
		"Tue, 24 Nov 2026 10:00:30 GMT":   30 * time.Second,
		"Tue, 24 Nov 2026 09:00:30 GMT":   0,
		"Tuesday, 24-Nov-26 10:01:00 GMT": time.Minute,
		"Tue Nov 24 10:01:00 2026":        time.Minute,
	} {
		if got := parseRetryAfter(v, headerTime()); got != want {
			t.Errorf("%q: %s, want %s", v, got, want)
		}
	}
}

func TestNoticesInHeaders(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, tt := range []struct {
		name   string
		status int
		header []string
		want   notice
	}{
		{"nothing", 200, nil, notice{}},
		{"retry-after of a success", 200, []string{"Retry-After", "7"}, notice{}},
		{"retry-after", 503, []string{"Retry-After", "7"}, notice{Wait: 7 * s, Why: RetryAfter}},
		{"draft 10", 200, []string{"RateLimit", `"default";r=50;t=30`}, notice{Left: 50, Reset: 30 * s}},
		{"several policies", 200, []string{"RateLimit", `"day;x=1";r=100;t=9999, "se,c\"";r=0;t=5;pk=:YQ==:, "min";r=0;t=20`}, notice{Left: 0, Reset: 20 * s}},
		{"without a time", 200, []string{"RateLimit", `"default";r=0`}, notice{}},
		{"draft 7", 200, []string{"RateLimit", "limit=100, remaining=0, reset=50"}, notice{Left: 0, Reset: 50 * s}},
		{"draft 3", 200, []string{"RateLimit-Remaining", "3", "RateLimit-Reset", "9"}, notice{Left: 3, Reset: 9 * s}},
		{"customary", 200, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "12.5"}, notice{Left: 0, Reset: 12500 * time.Millisecond}},
		{"with a time of Unix", 200, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795514460"}, notice{Left: 0, Reset: time.Minute}},
		{"in milliseconds", 200, []string{"X-Rate-Limit-Remaining", "0", "X-Rate-Limit-Reset", "1795514460000"}, notice{Left: 0, Reset: time.Minute}},
		{"a time that has passed", 200, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795514000"}, notice{}},
		{"no numbers", 429, []string{"RateLimit", "x;y;;=,,", "X-RateLimit-Remaining", "many", "Retry-After", "x"}, notice{}},
		{"both", 429, []string{"Retry-After", "3", "RateLimit", `a;r=0;t=1`}, notice{Wait: 3 * s, Why: RetryAfter, Reset: s}},
	} {
		if got := read(tt.status, answer(tt.header...), headerTime); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestRulesSayWhatHolds(t *testing.T) {
	t.Parallel()
	rs := mustRules(t, "*=concurrency:5", "*.example.com=rate:100/m,burst:9", "API.example.com=concurrency:8,rate:10/s",
		"api.example.com:8443=failures:off,headers:ignore", "[::1]:80=failures:3")
	for _, tt := range []struct {
		key  Key
		want Rule
	}{
		{Key{"x.test", 80}, Rule{Concurrency: 5, Burst: 1}},
		{Key{"example.com", 80}, Rule{Concurrency: 5, Burst: 1}},
		{Key{"a.b.example.com", 80}, Rule{Calls: 100, Per: time.Minute, Burst: 9}},
		{Key{"api.example.com", 443}, Rule{Concurrency: 8, Calls: 10, Per: time.Second, Burst: 1}},
		{Key{"api.example.com", 8443}, Rule{Failures: -1, IgnoreHeaders: true, Burst: 1}},
		{Key{"::1", 80}, Rule{Failures: 3, Burst: 1}},
	} {
		if got := rs.find(tt.key); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.key, got, tt.want)
		}
	}
}

func TestParseRulesSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for entry, says := range map[string]string{
		"":                        "doesn't say what holds",
		"a.example":               "doesn't say what holds",
		"a.example=":              "doesn't say what holds",
		"=rate:1/s":               "doesn't begin with a host",
		"a.*.example=rate:1/s":    "doesn't begin with a host",
		"http://a/=rate:1/s":      "port that is not a number",
		"a:0=rate:1/s":            "port that is not a number",
		"a=rate:1":                "write it as 10/s",
		"a=rate:0/s":              "a number from 1",
		"a=rate:x/s":              "a number from 1",
		"a=concurrency:-1":        "a number from 1",
		"a=burst:4":               "a burst without a rate",
		"a=headers:obey":          "headers:ignore is all",
		"a=speed:9":               "concurrency, rate, burst",
		"once.example=failures:2": "a second time",
	} {
		_, err := ParseRules([]string{"once.example=failures:1", entry})
		wantText(t, entry, err, "egress.host[1]", says)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("7", `"default";r=50;t=30, "b";r=0;t=5`, "0", "1795514460")
	f.Add("Tue, 24 Nov 2026 10:00:30 GMT", "limit=100, remaining=0, reset=50", "x", "1e400")
	f.Add("", `"\"`, "", "")
	f.Fuzz(func(t *testing.T, after, limit, left, reset string) {
		n := read(429, answer("Retry-After", after, "RateLimit", limit, "X-RateLimit-Remaining", left, "X-RateLimit-Reset", reset), headerTime)
		if n.Wait < 0 || n.Left < 0 || n.Reset < 0 || n.Reset == 0 && n.Left != 0 {
			t.Fatalf("%+v", n)
		}
	})
}

func FuzzParseRules(f *testing.F) {
	for _, s := range []string{"a.example=concurrency:8,rate:10/s,burst:20", "*.a:8=failures:off,headers:ignore", "[::1]:1=rate:1/h", "*=", ":=:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rs, err := ParseRules([]string{s})
		if err != nil {
			return
		}
		r := rs[0].rule
		if r.Concurrency < 0 || r.Calls < 0 || r.Burst < 1 || (r.Calls > 0) != (r.Per > 0) {
			t.Fatalf("%q is read as %+v", s, r)
		}
	})
}
