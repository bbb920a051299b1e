package http

// The schemas are literals: the spec of a connector is data. Where a schema
// allows null, an expression that may be null fits; url and method want a
// value. What is known when a graph is saved is refused by them: names and
// values of headers that can't be sent, a Content-Type that can't describe the
// body, a body on GET.

const (
	// fileField is the schema of a file, as sdk.FileSchema gives it; a test
	// compares the two.
	fileField = `{"type":"object","format":"file","title":"File","required":["file","name","type","size"],` +
		`"additionalProperties":false,"properties":{` +
		`"file":{"type":"string","description":"The id under which its run knows the file."},` +
		`"name":{"type":"string"},"type":{"type":"string","description":"The media type."},` +
		`"size":{"type":"integer","description":"In bytes."}}}`

	urlField = `
    "url": {
      "type": "string",
      "title": "URL",
      "description": "Absolute, http or https, percent-encoded; it is used as it is, its own query included.",
      "format": "uri",
      "pattern": "^[hH][tT][tT][pP][sS]?://[!-~]+$",
      "minLength": 1,
      "examples": ["https://forms.example.com/entries"]
    }`

	// token is a pattern of RFC 9110's tokens.
	token = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

	headersField = `
    "headers": {
      "type": ["object", "null"],
      "title": "Headers",
      "description": "A Content-Type selects how the body is written. Null is sent as an empty value.",
      "maxProperties": 1000,
      "additionalProperties": false,
      "patternProperties": {"` + token + `": {
        "type": ["string", "number", "boolean", "null"],
        "pattern": "^[^\\r\\n\\x00]*$",
        "writeOnly": true
      }}
    }`

	queryField = `
    "query": {
      "type": ["object", "null"],
      "title": "Query parameters",
      "description": "Added after the URL's own query, percent-encoded. A list is written as query_arrays says.",
      "additionalProperties": {
        "type": ["string", "number", "boolean", "null", "array"],
        "items": {"type": ["string", "number", "boolean", "null"], "writeOnly": true},
        "writeOnly": true
      }
    },
    "query_arrays": {
      "type": "string",
      "title": "Lists in the query",
      "description": "How a list is written. repeat: a=1&a=2. brackets: a[]=1&a[]=2. indices: a[0]=1&a[1]=2. comma: a=1,2.",
      "enum": ["repeat", "brackets", "indices", "comma"],
      "default": "repeat"
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

	redirectsField = `
    "redirects": {
      "type": "integer",
      "title": "Redirects",
      "description": "How many are followed; left out, as many as the server follows (10). 0: the redirect itself is the answer, a success, and headers.location says where it leads.",
      "minimum": 0,
      "maximum": 10
    }`

	responseField = `
    "response_type": {
      "type": "string",
      "title": "Response",
      "description": "auto: parsed by its Content-Type; what is no text becomes a file. The others: read as that, whatever it says. none: not read.",
      "enum": ["auto", "json", "xml", "form", "csv", "text", "file", "none"],
      "default": "auto"
    },
    "response_schema": {
      "type": "object",
      "title": "Schema of the answer",
      "description": "A JSON Schema of the body: mappings of it are typed, and a success whose body doesn't fit is a failure."
    }`

	keyField = `
    "idempotency_key": {
      "type": ["boolean", "string"],
      "title": "Idempotency key",
      "description": "On: each attempt carries the same Idempotency-Key header. A name sends it as that header instead.",
      "default": true
    }`

	contentTypeName = `"^[cC][oO][nN][tT][eE][nN][tT]-[tT][yY][pP][eE]$"`

	// contentRules tie a literal Content-Type to the body: one that is neither of
	// JSON, urlencoded pairs nor form-data can't describe a list or an object, and
	// pairs are an object. An expression, known later, fits every rule.
	contentRules = `
    {
      "if": {"required": ["headers"], "properties": {"headers": {"type": "object", "not": {"patternProperties": {
        ` + contentTypeName + `: {"pattern": "[jJ][sS][oO][nN]|[uU][rR][lL][eE][nN][cC][oO][dD][eE][dD]|[fF][oO][rR][mM]-[dD][aA][tT][aA]|\\$\\{\\{"}
      }}}}},
      "then": {"properties": {"body": {"type": ["string", "number", "boolean", "null"]}}}
    },
    {
      "if": {"required": ["headers"], "properties": {"headers": {"type": "object", "not": {"patternProperties": {
        ` + contentTypeName + `: {"not": {"type": "string", "pattern": "^ *([aA][pP][pP][lL][iI][cC][aA][tT][iI][oO][nN]/[xX]-[wW]{3}-[fF][oO][rR][mM]-|[mM][uU][lL][tT][iI][pP][aA][rR][tT]/[fF][oO][rR][mM]-)"}}
      }}}}},
      "then": {"properties": {"body": {"type": ["object", "string", "null"]}}}
    }`

	getInput = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["url"],
  "properties": {` + urlField + `,` + headersField + `,` + queryField + `,` + nullsField + `,` + redirectsField + `,` + responseField + `
  }
}`

	bodyInput = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["url"],
  "properties": {` + urlField + `,` + headersField + `,` + queryField + `,` + bodyField + `,` + nullsField + `,` +
		redirectsField + `,` + responseField + `,` + keyField + `
  },
  "allOf": [` + contentRules + `]
}`

	// partValue is what one part of form-data may be made of.
	partValue = `"anyOf": [
          {"type": ["string", "number", "boolean", "null"]},
          ` + fileField + `,
          {"type": "array", "items": {"anyOf": [{"type": ["string", "number", "boolean", "null"]}, ` + fileField + `]}}
        ]`

	formField = `
    "form_data": {
      "title": "Form data",
      "filesUnder": "[]",
      "description": "The parts of a multipart/form-data body, in order: an object, or a list of {name, value, filename, content_type}. A file or a list of files is sent as files: each of them under a key that ends in [], else the first.",
      "anyOf": [
        {"type": "object", "additionalProperties": false, "patternProperties": {"[\\s\\S]": {` + partValue + `}}},
        {"type": "array", "items": {
          "type": "object", "additionalProperties": false, "required": ["name"],
          "properties": {
            "name": {"type": "string", "minLength": 1},
            "value": {` + partValue + `},
            "filename": {"type": ["string", "null"], "description": "Makes a file of a text; another name for a file."},
            "content_type": {"type": ["string", "null"], "pattern": "^[\\t -~]*$"}
          }
        }},
        {"type": "null"}
      ]
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
      "pattern": "` + token + `",
      "minLength": 1,
      "maxLength": 64,
      "examples": ["PATCH", "DELETE"]
    },` + urlField + `,` + headersField + `,` + queryField + `,
    "body": {
      "title": "Body",
      "description": "The parameters, as key-value pairs or any other value; of body_type raw a text or a file, of file a file. Left out, nothing is sent.",
      "anyOf": [` + fileField + `, {}]
    },` + formField + `,
    "body_type": {
      "type": "string",
      "title": "Body type",
      "description": "Left out: form-data when there is form_data, else by the Content-Type header, else json when there is a body.",
      "enum": ["json", "raw", "urlencoded", "form-data", "file", "none"]
    },
    "content_type": {
      "type": "string",
      "title": "Content type",
      "description": "Of a raw body (text/plain; charset=utf-8) or of a file (its own).",
      "pattern": "^[\\t -~]*$",
      "examples": ["application/xml"]
    },` + nullsField + `,` + redirectsField + `,` + responseField + `,` + keyField + `
  },
  "allOf": [` + contentRules + `,
    {
      "if": {"required": ["method"], "properties": {"method": {"enum": ["GET", "HEAD"]}}},
      "then": {"properties": {"body": {"type": "null"}, "form_data": {"type": "null"}}}
    }
  ]
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
    "body": {
      "title": "Body",
      "description": "Parsed as response_type says, a file included; null when it is empty.",
      "schemaFrom": "response_schema",
      "schemaBy": {"field": "response_type", "schemas": {
        "file": ` + fileField + `,
        "text": {"type": ["string", "null"]},
        "csv": {"type": ["array", "null"], "items": {"type": "object", "additionalProperties": {
          "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
        }}},
        "none": {"type": "null"}
      }}
    }
  }
}`
)
