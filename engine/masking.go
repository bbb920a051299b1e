//go:build !tappet_control_mask

package engine

// unmasked is true in the control build of the canary test alone.
const unmasked = false
