// Package engine holds the domain's words and ports, and what Tappet does with
// them: it keeps graphs, publishes and activates them, turns events into
// durable runs and carries out their effects.
//
// It is neither a server (api) nor a store (engine/sqlite), nor does it decide
// what a run does next (engine/machine) or drive one (engine/local). Its one
// rule: it knows no connector and no plugin; it is handed [Connectors] and
// [Hosts] by whoever wires the program.
package engine
