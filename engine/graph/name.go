package graph

import "strings"

// isID says whether s is [a-z][a-z0-9_]*.
func isID(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// isName says whether s is [a-z0-9][a-z0-9-]*.
func isName(s string) bool {
	if s == "" || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isConnection says whether s is [a-z][a-z0-9_-]*.
func isConnection(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// isUse says whether s is an id, or two with a dot between.
func isUse(s string) bool {
	connector, member, dotted := strings.Cut(s, ".")
	return isID(connector) && (!dotted || isID(member))
}

// didYouMean is a suggestion of the known name that is nearest to a wrong one,
// "" if none is near: at most a third of its letters may differ.
func didYouMean(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return `did you mean "` + best + `"?`
	}
	return ""
}

func nearest(name string, known []string) string {
	// Foreign names may be long, and the work grows with the product.
	const longest = 64
	if len(name) > longest {
		return ""
	}
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		if len(k) > longest || k == "" {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of bytes to insert, remove, replace or swap with the
// next to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
