package wasm

// Unmeter has an engine load modules as they are: nothing ends their loops.
func Unmeter(e *Engine) { e.unmetered = true }
