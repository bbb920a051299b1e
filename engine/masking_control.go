//go:build tappet_control_mask

package engine

// unmasked breaks a promise on purpose: secrets are kept in records, logs and
// answers as they came. The canary test must find them with this build.
const unmasked = true
