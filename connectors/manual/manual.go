// Package manual is the trigger of graphs that are started by hand.
//
// It is data alone: the engine makes the event from what the one who starts
// the run gives. Its one rule: nothing but a person or a program that asks
// through the API starts such a graph.
package manual

import (
	"encoding/json"

	"github.com/tappet-dev/tappet/sdk"
)

// New returns the connector manual with its one trigger.
func New() sdk.Connector {
	return sdk.Connector{
		Name:        "manual",
		Title:       "By hand",
		Description: "Starts a run when somebody asks for it, with the data that they give.",
		Version:     "1.0.0",
		Triggers: []sdk.Trigger{{
			Name:        "manual",
			Title:       "Started by hand",
			Description: "Each start through the API is one run.",
			Kind:        sdk.KindManual,
			Config:      json.RawMessage(configSchema),
			Event:       json.RawMessage(eventSchema),
		}},
	}
}

const configSchema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "schema": {
      "type": "object",
      "title": "Schema of the body",
      "description": "A JSON Schema that each body must fit: another is refused, and expressions know the body's type."
    }
  }
}`

const eventSchema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "body": {"title": "Body", "schemaFrom": "schema", "description": "What the starter gave; null when nothing was given."}
  }
}`
