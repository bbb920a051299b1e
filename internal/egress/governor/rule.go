package governor

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rule is what an operator says of a host; what it leaves out is as in Limits.
type Rule struct {
	// Concurrency is how many calls are under way at a time.
	Concurrency int
	// Calls may begin in each Per, evenly, up to Burst at once; 0: any number may.
	Calls, Burst int
	Per          time.Duration
	// Failures in a row open the breaker; negative: none do.
	Failures int
	// IgnoreHeaders leaves Retry-After and RateLimit headers without effect on
	// other calls.
	IgnoreHeaders bool
}

// Rules are the rules for hosts, by pattern.
type Rules []named

type named struct {
	pattern string // without "*"
	wild    bool   // it stands for every host that ends in pattern
	port    uint16 // 0: any
	rule    Rule
}

const ruleForm = "such as api.example.com=concurrency:8,rate:10/s"

// ParseRules reads the setting egress.host. An entry names a host, "*.example.com"
// for all below it, or "*" for all, with a port where only that one is meant,
// and says what holds there:
//
//	api.example.com=concurrency:8,rate:10/s,burst:20
//	*.example.com:8443=failures:off,headers:ignore
//
// Of several that fit a host the longest pattern holds, alone.
func ParseRules(entries []string) (Rules, error) {
	rs := make(Rules, 0, len(entries))
	for i, e := range entries {
		r, err := parseRule(e)
		if err != nil {
			return nil, fmt.Errorf("egress.host[%d]: %q %w", i, e, err)
		}
		for _, other := range rs {
			if other.pattern == r.pattern && other.wild == r.wild && other.port == r.port {
				return nil, fmt.Errorf("egress.host[%d]: %q names a host a second time; write one entry", i, e)
			}
		}
		rs = append(rs, r)
	}
	return rs, nil
}

func parseRule(s string) (named, error) {
	pattern, settings, ok := strings.Cut(s, "=")
	if !ok || settings == "" {
		return named{}, fmt.Errorf("doesn't say what holds for the host; %s would do", ruleForm)
	}
	r, err := parsePattern(strings.ToLower(strings.TrimSpace(pattern)))
	if err != nil {
		return r, err
	}
	for part := range strings.SplitSeq(settings, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), ":")
		if err := r.rule.set(key, value); err != nil {
			return r, err
		}
	}
	if r.rule.Calls == 0 && r.rule.Burst > 0 {
		return r, fmt.Errorf("has a burst without a rate; %s would do", ruleForm)
	}
	r.rule.Burst = max(r.rule.Burst, 1)
	return r, nil
}

func parsePattern(p string) (named, error) {
	var r named
	r.pattern = p
	if i := strings.LastIndexByte(p, ':'); i >= 0 && !strings.HasSuffix(p, "]") && (strings.Count(p, ":") == 1 || p[0] == '[') {
		n, err := strconv.ParseUint(p[i+1:], 10, 16)
		if err != nil || n == 0 {
			return r, fmt.Errorf("has a port that is not a number from 1 to 65535")
		}
		r.pattern, r.port = p[:i], uint16(n)
	}
	r.pattern = strings.Trim(r.pattern, "[]")
	switch {
	case r.pattern == "*":
		r.pattern, r.wild = "", true
	case strings.HasPrefix(r.pattern, "*."):
		r.pattern, r.wild = r.pattern[1:], true
	}
	if strings.ContainsAny(r.pattern, "*/ ") || r.pattern == "" && !r.wild {
		return r, fmt.Errorf("doesn't begin with a host; %s would do, or *.example.com, or *", ruleForm)
	}
	return r, nil
}

func (r *Rule) set(key, value string) error {
	count := func(to *int) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 1_000_000 {
			return fmt.Errorf("has %s:%s; a number from 1 to 1000000 is wanted", key, value)
		}
		*to = n
		return nil
	}
	switch key {
	case "concurrency":
		return count(&r.Concurrency)
	case "burst":
		return count(&r.Burst)
	case "failures":
		if value == "off" {
			r.Failures = -1
			return nil
		}
		return count(&r.Failures)
	case "headers":
		if value != "ignore" {
			return fmt.Errorf("has headers:%s; headers:ignore is all that can be said", value)
		}
		r.IgnoreHeaders = true
		return nil
	case "rate":
		n, unit, _ := strings.Cut(value, "/")
		r.Per = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
		if r.Per == 0 {
			return fmt.Errorf("has rate:%s; write it as 10/s, 100/m or 1000/h", value)
		}
		value = n
		return count(&r.Calls)
	}
	return fmt.Errorf("has %q; concurrency, rate, burst, failures and headers can be said", key)
}

// find gives the rule of a host, the zero Rule if none fits.
func (rs Rules) find(k Key) Rule {
	best := -1
	var r Rule
	for i := range rs {
		n := &rs[i]
		fits := n.pattern == k.Host
		if n.wild {
			fits = strings.HasSuffix(k.Host, n.pattern)
		}
		if !fits || n.port != 0 && n.port != k.Port {
			continue
		}
		weight := 4 * len(n.pattern)
		if !n.wild {
			weight += 2
		}
		if n.port != 0 {
			weight++
		}
		if weight > best {
			best, r = weight, n.rule
		}
	}
	return r
}
