// Package webhook is the way in: the trigger that turns a request to
// /hooks/<path> into the event of a run.
//
// A request may have to say who sends it (auth), to be signed (verify), and to
// come from a network (ip_allow); all that are asked for must hold. Secrets are
// named in the config, never held.
//
// It is not the ingress: routes, methods, limits on size and time, and the
// answer belong to the one who received the request. Its one rule: a JSON body
// goes into the event as it came, checked in one pass and never decoded, and a
// file goes to the host as it comes, never into memory.
package webhook

import (
	"encoding/json"

	"github.com/tappet-dev/tappet/sdk"
)

// New returns the connector webhook with its one trigger.
//
// The event is {body, headers, query, method, path, params, files}. The body is,
// by the request's Content-Type, JSON as it came, an object of the pairs of a
// form (urlencoded, or multipart/form-data with its files), XML's object, text, or
// a file; an empty one is null. Without a Content-Type, bytes that begin like an
// object or a list are JSON, others are text, and what isn't UTF-8 is a file.
// The list files has all files, in the order in which they came. Headers have
// lower-case names, repeated ones joined by ", ", and never hold credentials
// (authorization, cookie, proxy-authorization). With raw in the config, the
// member raw is the text of a body that was none of files, or null. With verify,
// the member verified says whether the signature is right: false is seen where
// that is only observed.
func New() sdk.Connector {
	return sdk.Connector{
		Name:        "webhook",
		Title:       "Webhook",
		Description: "Starts a run for each request to an address of the graph's own.",
		Version:     "1.0.0",
		Triggers: []sdk.Trigger{{
			Name:        "webhook",
			Title:       "A request comes in",
			Description: "Another program calls /hooks/ and the graph's path.",
			Kind:        sdk.KindWebhook,
			Config:      json.RawMessage(configSchema),
			Event:       json.RawMessage(eventSchema + string(sdk.FileSchema()) + eventSchemaEnd),
			Validate:    validate,
			Secrets:     secretsOf,
			Credentials: credentialsOf,
			Webhook:     receive,
			Multipart:   true,
		}},
	}
}

const configSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["path"],
  "properties": {
    "path": {
      "type": "string",
      "title": "Path",
      "description": "The address is /hooks/ and this path: segments of letters, digits, dots, dashes, underscores and tildes, or parameters such as {id}.",
      "pattern": "^([A-Za-z0-9._~-]+|\\{[a-z][a-z0-9_]*\\})(/([A-Za-z0-9._~-]+|\\{[a-z][a-z0-9_]*\\}))*$",
      "maxLength": 200,
      "examples": ["task-completed", "orders/{id}"]
    },
    "methods": {
      "type": "array",
      "title": "Methods",
      "description": "The methods that are taken.",
      "items": {"type": "string", "enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
      "minItems": 1,
      "uniqueItems": true,
      "default": ["POST"]
    },
    "respond": {
      "title": "Answer",
      "description": "accepted: 202 with the run's id as soon as the event is durable. result: the caller waits for the run's respond step or its end. An object: this answer, as soon as the event is durable.",
      "oneOf": [
        {"type": "string", "enum": ["accepted", "result"]},
        {
          "type": "object",
          "additionalProperties": false,
          "properties": {
            "status": {"type": "integer", "title": "Status", "minimum": 200, "maximum": 599, "default": 200},
            "headers": {"type": "object", "title": "Headers", "additionalProperties": {"type": "string"}, "maxProperties": 100},
            "body": {"title": "Body", "description": "It is sent as JSON; a text is sent as it is where headers have a Content-Type. Without one there is no body."}
          }
        }
      ],
      "default": "accepted"
    },
    "max_body": {
      "type": "integer",
      "title": "Largest body",
      "description": "The most bytes that a request's body may have, its files too. The server's own limits hold in any case.",
      "minimum": 1
    },
    "auth": {
      "type": "object",
      "title": "Who may call",
      "description": "How a request says who sends it.",
      "additionalProperties": false,
      "required": ["kind"],
      "properties": {
        "kind": {"type": "string", "title": "Kind", "enum": ["none", "basic", "bearer", "header", "jwt"], "description": "basic: a name and a password. bearer: a token in Authorization. header: a key in a header of its own. jwt: a signed token in Authorization."},
        "secrets": {"type": "array", "title": "Secrets", "description": "Names of secrets: of passwords, tokens, keys. Any of them is taken, so that two may be in rotation.", "items": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}, "minItems": 1, "maxItems": 8},
        "username": {"type": "string", "title": "User name", "description": "Of basic.", "maxLength": 256},
        "header": {"type": "string", "title": "Header", "description": "Of header: the name of the field that has the key, such as X-Api-Key.", "pattern": "^[A-Za-z0-9-]+$", "maxLength": 100},
        "algorithm": {"type": "string", "title": "Algorithm", "description": "Of jwt: HS256 with secrets, RS256 and ES256 with public_keys.", "enum": ["HS256", "RS256", "ES256"], "default": "HS256"},
        "public_keys": {"type": "array", "title": "Public keys", "description": "Of jwt: in PEM.", "items": {"type": "string"}, "minItems": 1, "maxItems": 8},
        "issuer": {"type": "string", "title": "Issuer", "description": "Of jwt: what iss must be."},
        "audience": {"type": "string", "title": "Audience", "description": "Of jwt: what must be in aud."},
        "tolerance": {"type": "string", "title": "Tolerance", "description": "Of jwt: how far the sender's clock may be off.", "default": "1m"}
      }
    },
    "verify": {
      "type": "object",
      "title": "Signature",
      "description": "How requests are signed.",
      "additionalProperties": false,
      "required": ["profile", "secrets"],
      "properties": {
        "profile": {"type": "string", "title": "Profile", "enum": ["github", "stripe", "slack", "standard_webhooks", "hmac"], "description": "Who signs; hmac: as the other fields say."},
        "secrets": {"type": "array", "title": "Secrets", "description": "Names of secrets. Any of them is taken, so that two may be in rotation.", "items": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}, "minItems": 1, "maxItems": 8},
        "tolerance": {"type": "string", "title": "Tolerance", "description": "How far the signature's time may be off, before and after now: 5m unless set.", "examples": ["5m"]},
        "mode": {"type": "string", "title": "Mode", "description": "observe: a request whose signature isn't right is taken all the same, with verified false.", "enum": ["enforce", "observe"], "default": "enforce"},
        "header": {"type": "string", "title": "Header", "description": "Of hmac: the field of the signature.", "pattern": "^[A-Za-z0-9-]+$", "maxLength": 100},
        "prefix": {"type": "string", "title": "Prefix", "description": "Of hmac: what precedes the signature, such as sha256=.", "maxLength": 40},
        "algorithm": {"type": "string", "title": "Hash", "description": "Of hmac: sha256 unless set.", "enum": ["sha256", "sha512"]},
        "encoding": {"type": "string", "title": "Encoding", "description": "Of hmac: hex unless set.", "enum": ["hex", "base64"]},
        "payload": {"type": "string", "title": "What is signed", "description": "Of hmac: {body}, and around it {timestamp}, {id} and text; {body} unless set.", "maxLength": 200, "examples": ["{timestamp}.{body}"]},
        "timestamp_header": {"type": "string", "title": "Header of the time", "description": "Of hmac: in seconds since 1970.", "pattern": "^[A-Za-z0-9-]+$", "maxLength": 100},
        "id_header": {"type": "string", "title": "Header of the event's id", "description": "Of hmac: tells events apart.", "pattern": "^[A-Za-z0-9-]+$", "maxLength": 100}
      }
    },
    "ip_allow": {
      "type": "array",
      "title": "Networks",
      "description": "The addresses and networks that requests may come from, by the connection's own address; behind a reverse proxy that is the proxy's, unless the server is told to trust it.",
      "items": {"type": "string"},
      "minItems": 1,
      "maxItems": 1000,
      "examples": [["192.0.2.0/24", "2001:db8::/32"]]
    },
    "schema": {
      "type": "object",
      "title": "Schema of the body",
      "description": "A JSON Schema that each body must fit: another is refused, and expressions know the body's type."
    },
    "raw": {
      "type": "boolean",
      "title": "Keep the raw body",
      "description": "The event also has the body's text as it came, in raw: a body so counts twice.",
      "default": false
    }
  }
}`

const eventSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["body", "headers", "query", "method", "path", "params", "files"],
  "properties": {
    "body": {"title": "Body", "schemaFrom": "schema", "description": "Parsed by the request's Content-Type; null when it was empty. A body of another type is a file."},
    "headers": {
      "type": "object",
      "title": "Headers",
      "description": "By lower-case name; the values of a repeated one are joined by a comma. Credentials are left out.",
      "additionalProperties": {"type": "string"}
    },
    "query": {
      "type": "object",
      "title": "Query",
      "description": "A string for a key that comes once, a list for one that is repeated.",
      "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    },
    "method": {"type": "string", "title": "Method"},
    "path": {"type": "string", "title": "Path", "description": "The escaped path below /hooks/."},
    "params": {
      "type": "object",
      "title": "Path parameters",
      "paramsFrom": "path",
      "description": "By name; the percent escapes of a value are decoded.",
      "additionalProperties": {"type": "string"}
    },
    "verified": {"type": "boolean", "title": "Verified", "description": "Whether the signature is right; there where the trigger has verify."},
    "raw": {"type": ["string", "null"], "title": "Raw body", "description": "The body's text as it came, where the trigger's raw is true; null for files."},
    "files": {
      "type": "array",
      "title": "Files",
      "description": "All files of the request, in the order in which they came.",
      "items": `

// eventSchemaEnd stands behind the schema of a file.
const eventSchemaEnd = `
    }
  }
}`
