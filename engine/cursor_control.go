//go:build tappet_control_cursor

package engine

// cursorFirst breaks a promise of sources on purpose: the cursor is committed
// before the events that came with it. The crash test of sources must fail with
// this build.
const cursorFirst = true
