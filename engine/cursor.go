//go:build !tappet_control_cursor

package engine

// cursorFirst is true in the control build of the crash test alone.
const cursorFirst = false
