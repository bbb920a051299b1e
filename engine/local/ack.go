//go:build !tappet_control

package local

// ackBeforeCommit is true in the control build of the crash test alone.
const ackBeforeCommit = false
