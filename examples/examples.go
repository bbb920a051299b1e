// Package examples holds documents that run as they stand.
//
// It is for reading, and for the demo, which brings its graph along. Its one
// rule: each document here is validated, published and run by a test.
package examples

import "embed"

// Graphs are the graph documents, as graphs/<name>.yaml.
//
//go:embed graphs/*.yaml
var Graphs embed.FS
