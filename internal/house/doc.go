// Package house holds the rules of the house as tests: which package may
// import which, and behind which door each dependency stands (ARCHITECTURE.md).
//
// It has no code of its own. Its one rule: a rule that nobody can break
// unnoticed is written here.
package house
