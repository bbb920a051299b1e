package governor

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A notice is what an answer says of its host's limits.
type notice struct {
	// Wait is how long the host asks to be left alone; 0: it doesn't.
	Wait time.Duration
	Why  Why
	// Left is how many calls it still takes until Reset from now; it says
	// something if Reset isn't 0.
	Left  int64
	Reset time.Duration
}

// read gives what an answer's header says: Retry-After with 429 and 503
// (RFC 9110, 10.2.3), and how much of a quota is left: RateLimit of
// draft-ietf-httpapi-ratelimit-headers in its present and its earlier forms,
// and the customary X-RateLimit-Remaining and X-RateLimit-Reset. What can't
// be read says nothing.
func read(status int, header http.Header, now func() time.Time) notice {
	var n notice
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		if d := parseRetryAfter(first(header, "Retry-After"), now()); d > 0 {
			n.Wait, n.Why = d, RetryAfter
		}
	}
	if v := strings.Join(header["Ratelimit"], ","); v != "" {
		if left, reset, ok := parseRateLimit(v); ok {
			n.Left, n.Reset = left, reset
			return n
		}
	}
	for _, f := range [...][2]string{
		{"Ratelimit-Remaining", "Ratelimit-Reset"},
		{"X-Ratelimit-Remaining", "X-Ratelimit-Reset"},
		{"X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"},
	} {
		remaining := first(header, f[0])
		if remaining == "" {
			continue
		}
		left, ok := number(remaining)
		reset := parseReset(first(header, f[1]), now())
		if ok && reset > 0 {
			n.Left, n.Reset = int64(left), reset
			return n
		}
	}
	return n
}

// first gives the first value of a field by its canonical name.
func first(h http.Header, canonical string) string {
	if v := h[canonical]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// parseRetryAfter reads Retry-After, seconds or a date; 0 for what is neither,
// or no longer ahead.
func parseRetryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if s, ok := number(v); ok {
		return seconds(s)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// parseRateLimit reads the field RateLimit: a list of `"policy";r=left;t=seconds`
// or, as earlier drafts had it, `limit=100, remaining=50, reset=5`. Of several
// policies it gives the one with the least left and, of these, the one that
// takes longest. ok is false if none says both.
func parseRateLimit(v string) (left int64, reset time.Duration, ok bool) {
	var oldLeft, oldReset float64
	hasLeft, hasReset := false, false
	for len(v) > 0 {
		var item string
		item, v = cut(v, ',')
		name, params := cut(item, ';')
		if k, n, found := pair(name); found {
			switch k {
			case "remaining":
				oldLeft, hasLeft = n, true
			case "reset":
				oldReset, hasReset = n, true
			}
			continue
		}
		var r, t float64
		hasR, hasT := false, false
		for len(params) > 0 {
			var p string
			p, params = cut(params, ';')
			switch k, n, found := pair(p); {
			case found && k == "r":
				r, hasR = n, true
			case found && k == "t":
				t, hasT = n, true
			}
		}
		if !hasR || !hasT || seconds(t) == 0 {
			continue
		}
		if !ok || int64(r) < left || int64(r) == left && seconds(t) > reset {
			left, reset, ok = int64(r), seconds(t), true
		}
	}
	if !ok && hasLeft && hasReset && seconds(oldReset) > 0 {
		return int64(oldLeft), seconds(oldReset), true
	}
	return left, reset, ok
}

// cut splits at the first sep that isn't in a quoted string.
func cut(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// pair reads key=number.
func pair(s string) (key string, n float64, ok bool) {
	key, value, found := strings.Cut(s, "=")
	if !found {
		return "", 0, false
	}
	n, ok = number(strings.TrimSpace(value))
	return strings.ToLower(strings.TrimSpace(key)), n, ok
}

// parseReset reads a time to wait in seconds, or a time of Unix where the
// number is too large for that.
func parseReset(v string, now time.Time) time.Duration {
	s, ok := number(strings.TrimSpace(v))
	const year2001 = 1_000_000_000
	switch {
	case !ok:
		return 0
	case s >= 1000*year2001: // in milliseconds
		return max(seconds(s/1000)-time.Duration(now.UnixNano()), 0)
	case s >= year2001:
		return max(seconds(s)-time.Duration(now.UnixNano()), 0)
	}
	return seconds(s)
}

// number reads a decimal number that isn't negative, as far as JSON would.
func number(s string) (float64, bool) {
	if s == "" || len(s) > 20 || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && n < 1<<62
}

// seconds makes a duration that may be as long as there is.
func seconds(s float64) time.Duration {
	if s >= float64(math.MaxInt64/int64(time.Second)) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}
