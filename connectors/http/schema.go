package http

// The schemas are literals: the spec of a connector is data. Where a schema
// allows null, an expression that may be null fits; url and method want a
// value.

const (
	urlField = `
    "url": {
      "type": "string",
      "title": "URL",
      "description": "Absolute, http or https, percent-encoded; it is used as it is, its own query included.",
      "format": "uri",
      "minLength": 1,
      "examples": ["https://forms.example.com/entries"]
    }`

	headersField = `
    "headers": {
      "type": ["object", "null"],
      "title": "Headers",
      "description": "A list sends the field once for each value. A Content-Type selects how the body is written.",
      "additionalProperties": {
        "type": ["string", "number", "boolean", "null", "array"],
        "items": {"type": ["string", "number", "boolean", "null"]}
      }
    }`

	queryField = `
    "query": {
      "type": ["object", "null"],
      "title": "Query parameters",
      "description": "Added after the URL's own query, percent-encoded. A list repeats its key.",
      "additionalProperties": {
        "type": ["string", "number", "boolean", "null", "array"],
        "items": {"type": ["string", "number", "boolean", "null"]}
      }
    }`

	bodyField = `
    "body": {
      "title": "Body",
      "description": "The parameters, as key-value pairs or any other value. Left out, nothing is sent."
    }`

	nullsField = `
    "send_nulls": {
      "type": "boolean",
      "title": "Send nulls",
      "description": "Off: nulls are left out of headers, query and body, at every depth; elements of lists keep their places.",
      "default": true
    }`

	responseField = `
    "response_type": {
      "type": "string",
      "title": "Response",
      "description": "auto: parsed by its Content-Type. json and text: read as that, whatever it says.",
      "enum": ["auto", "json", "text"],
      "default": "auto"
    }`

	keyField = `
    "idempotency_key": {
      "type": ["boolean", "string"],
      "title": "Idempotency key",
      "description": "On: each attempt carries the same Idempotency-Key header. A name sends it as that header instead.",
      "default": true
    }`

	getInput = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["url"],
  "properties": {` + urlField + `,` + headersField + `,` + queryField + `,` + nullsField + `,` + responseField + `
  }
}`

	bodyInput = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["url"],
  "properties": {` + urlField + `,` + headersField + `,` + queryField + `,` + bodyField + `,` + nullsField + `,` +
		responseField + `,` + keyField + `
  }
}`

	customInput = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["method", "url"],
  "properties": {
    "method": {
      "type": "string",
      "title": "Method",
      "description": "Any method, sent as it is written; they are case-sensitive.",
      "pattern": "^[!#$%&'*+.^_|~0-9A-Za-z` + "`" + `-]+$",
      "minLength": 1,
      "maxLength": 64,
      "examples": ["PATCH", "DELETE"]
    },` + urlField + `,` + headersField + `,` + queryField + `,` + bodyField + `,
    "body_type": {
      "type": "string",
      "title": "Body type",
      "description": "Left out: by the Content-Type header, else json when there is a body.",
      "enum": ["json", "urlencoded", "raw", "none"]
    },
    "content_type": {
      "type": "string",
      "title": "Content type",
      "description": "Of a raw body.",
      "default": "text/plain; charset=utf-8",
      "examples": ["application/xml"]
    },` + nullsField + `,` + responseField + `,` + keyField + `
  }
}`

	output = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["status", "headers", "body"],
  "properties": {
    "status": {"type": "integer", "title": "Status", "minimum": 100, "maximum": 599},
    "headers": {
      "type": "object",
      "title": "Headers",
      "description": "By lower-case name; the values of a repeated one are joined by a comma.",
      "additionalProperties": {"type": "string"}
    },
    "body": {"title": "Body", "description": "Parsed by its Content-Type; null when it is empty or is not text."}
  }
}`
)
