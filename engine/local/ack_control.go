//go:build tappet_control

package local

// ackBeforeCommit breaks the promise of durability on purpose: Accept returns
// before its records are on disk. The crash test must fail with this build.
const ackBeforeCommit = true
