// Package plugins hands out what the examples in other languages know of the
// engine: their bindings, with which tappet plugin new begins.
//
// The examples themselves lie below. Its one rule: the binding that a new plugin
// gets is the one that the conformance kit was run on.
package plugins

import _ "embed" // for the directives below

// C gives tappet.h, the binding of ABI version 1 for C.
func C() []byte { return []byte(c) }

// AssemblyScript gives tappet.ts, the binding of ABI version 1 for AssemblyScript.
func AssemblyScript() []byte { return []byte(assemblyScript) }

//go:embed c/tappet.h
var c string

//go:embed assemblyscript/tappet.ts
var assemblyScript string
