package graph

import _ "embed"

//go:embed graph.schema.json
var schemaJSON string

// Schema returns the JSON Schema (draft 2020-12) of a document, for editors
// and other programs. Parse is stricter: it also checks what lies between
// parts, such as `after` and unique ids.
func Schema() []byte { return []byte(schemaJSON) }
