//go:build race

package guest

// race says whether the race detector is on.
const race = true
