package wasm

import "time"

// Unmeter has an engine load modules as they are: nothing ends their loops.
func Unmeter(e *Engine) { e.unmetered = true }

// Reap is what the module's clock does by itself.
func Reap(m *Module, now time.Time) { m.reap(now) }
