package expr

import "strings"

// Nearest gives the known name that name is most likely a slip of, "" if none
// is near: the smallest number of letters inserted, left out, replaced or
// swapped with their neighbour, upper and lower case being the same, and at
// most a quarter of the name's length plus one. The first of equals is taken.
func Nearest(name string, known []string) string {
	const longest = 64
	if len(name) > longest {
		return ""
	}
	want := strings.ToLower(name)
	best, limit := "", len(want)/4+1
	for _, k := range known {
		if len(k) > longest || k == name {
			continue
		}
		low := strings.ToLower(k)
		if len(low) > longest {
			continue
		}
		d := distance(want, low, limit)
		// A name that is replaced letter by letter is no slip.
		if d <= limit && d < max(len(want), len(low)) {
			best, limit = k, d-1
			if d == 0 {
				break
			}
		}
	}
	return best
}

// distance counts insertions, deletions, replacements and swaps of neighbours;
// anything over limit is returned as limit+1.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	var rows [3][65]int
	prev2, prev, cur := &rows[0], &rows[1], &rows[2]
	for j := 0; j <= len(b); j++ {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, prev2[j-2]+1)
			}
			cur[j] = d
			least = min(least, d)
		}
		if least > limit {
			return limit + 1
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
