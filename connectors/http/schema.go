package http

// The schemas are literals: the spec of a connector is data. Where a schema
// allows null, an expression that may be null fits; url and method want a
// value. What is known when a graph is saved is refused by them: names and
// values of headers that can't be sent, a Content-Type that can't describe the
// body, a body on GET. errorMessage says what would be right.

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
      "errorMessage": {
        "pattern": "must be an absolute http or https URL, percent-encoded, such as https://forms.example.com/a%20b",
        "format": "must be an absolute http or https URL, percent-encoded, such as https://forms.example.com/a%20b"
      },
      "examples": ["https://forms.example.com/entries"]
    }`

	// token is a pattern of RFC 9110's tokens.
	token = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

	headersField = `
    "headers": {
      "type": ["object", "null"],
      "title": "Headers",
      "description": "A Content-Type selects how the body is written. Null is sent as an empty value.",
      "format": "header-fields",
      "maxProperties": 1000,
      "additionalProperties": false,
      "errorMessage": {"additionalProperties": "is no header name: letters, digits and !#$%&'*+-.^_` + "`" + `|~ are wanted"},
      "patternProperties": {"` + token + `": {
        "type": ["string", "number", "boolean", "null"],
        "pattern": "^[^\\r\\n\\x00]*$",
        "errorMessage": {"pattern": "a header's value can't hold CR, LF or NUL", "type": "a header's value is one text; make one of a list with join(\", \")"},
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
      "pattern": "` + token + `",
      "errorMessage": "must be true, false, or the name of the header that has the key, such as X-Request-Id",
      "default": true
    }`

	contentTypeName = `"^[cC][oO][nN][tT][eE][nN][tT]-[tT][yY][pP][eE]$"`

	// A condition that a Content-Type is there whose text, or whose text alone,
	// (doesn't) fit: the pattern stands between the two parts.
	typeIs     = `{"required": ["headers"], "properties": {"headers": {"type": "object", "not": {"patternProperties": {` + contentTypeName + `: {"not": {"type": "string", "pattern": "`
	typeIsEnd  = `"}}}}}}}`
	typeNot    = `{"required": ["headers"], "properties": {"headers": {"type": "object", "not": {"patternProperties": {` + contentTypeName + `: {"pattern": "`
	typeNotEnd = `"}}}}}}`
	hasType    = `{"required": ["headers"], "properties": {"headers": {"type": "object", "not": {"patternProperties": {` + contentTypeName + `: {"type": "null"}}}}}}`

	// A rule of each Content-Type.
	typeRule    = `{"properties": {"headers": {"patternProperties": {` + contentTypeName + `: `
	typeRuleEnd = `}}}}`

	// Patterns of media types, and of an expression, which is known later and fits
	// every rule.
	jsonType       = `[jJ][sS][oO][nN]`
	urlencodedType = `[uU][rR][lL][eE][nN][cC][oO][dD][eE][dD]`
	formType       = `[fF][oO][rR][mM]-[dD][aA][tT][aA]`
	multipart      = `[mM][uU][lL][tT][iI][pP][aA][rR][tT]/`
	expression     = `\\$\\{\\{`

	keyless = `"patternProperties": {"^$": {"not": {}, "errorMessage": "the key is empty; each pair or part of a form needs a name"}}`

	// flat is a value that is sent as a text, or as several.
	flat = `{
      "type": ["string", "number", "boolean", "null", "array"], "items": {"type": ["string", "number", "boolean", "null"]},
      "errorMessage": "must be a text, a number, a boolean, null or a list of these; what has parts goes as JSON, and files with http.custom, in form_data"
    }`

	// contentRules tie a literal Content-Type to the body: one that is neither of
	// JSON, urlencoded pairs nor form-data can't describe a list or an object, and
	// pairs are an object.
	contentRules = `
    {
      "if": ` + typeNot + jsonType + `|` + urlencodedType + `|` + formType + `|` + expression + typeNotEnd + `,
      "then": {"properties": {"body": {
        "type": ["string", "number", "boolean", "null"],
        "errorMessage": "can't be written by this Content-Type; give text, or send JSON, urlencoded pairs or form-data"
      }}}
    },
    {
      "if": ` + typeIs + `^ *([aA][pP][pP][lL][iI][cC][aA][tT][iI][oO][nN]/[xX]-[wW]{3}-[fF][oO][rR][mM]-|` + multipart + `[fF][oO][rR][mM]-)` + typeIsEnd + `,
      "then": {"properties": {"body": {"type": ["object", "string", "null"], "errorMessage": {"type": "pairs and parts are the members of an object"}, ` + keyless + `}}}
    },
    ` + typeRule + `{
      "not": {"type": "string", "pattern": "^ *` + multipart + formType + ` *;.*[^ ]"},
      "errorMessage": "has parameters, but the boundary is made for each request; write multipart/form-data alone"
    }` + typeRuleEnd + `,
    {
      "if": ` + typeIs + urlencodedType + typeIsEnd + `,
      "then": {"properties": {"body": {"additionalProperties": ` + flat + `}}}
    }`

	// noMultipart refuses a type that nobody can write.
	noMultipart = typeRule + `{
      "pattern": "^ *([^mM ]|[mM][^uU]|` + multipart + formType + `)|` + expression + `|^ *$",
      "errorMessage": "can't be written from parameters; multipart/form-data can, and http.custom sends any text as body_type raw"
    }` + typeRuleEnd
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
  "allOf": [` + contentRules + `, ` + noMultipart + `,
    {
      "if": ` + typeIs + formType + typeIsEnd + `,
      "then": {"properties": {"body": {"additionalProperties": ` + flat + `}}}
    }
  ]
}`

	// partValue is what one part of form-data may be made of.
	partValue = `"errorMessage": "must be a text, a number, a boolean, null, a file that is mapped whole, such as ${{ trigger.files[0] }}, or a list of these",
        "anyOf": [
          {"type": ["string", "number", "boolean", "null"]},
          ` + fileField + `,
          {"type": "array", "items": {"anyOf": [{"type": ["string", "number", "boolean", "null"]}, ` + fileField + `]}}
        ]`

	formField = `
    "form_data": {
      "title": "Form data",
      "errorMessage": {"anyOf": "must be an object of parts, or a list of {name, value, filename, content_type}"},
      "filesUnder": "[]",
      "description": "The parts of a multipart/form-data body, in order: an object, or a list of {name, value, filename, content_type}. A file or a list of files is sent as files: each of them under a key that ends in [], else the first.",
      "anyOf": [
        {
          "type": "object", "additionalProperties": false, "patternProperties": {"[\\s\\S]": {` + partValue + `}},
          "errorMessage": {"additionalProperties": "the key is empty; each part of a form needs a name"}
        },
        {"type": "array", "items": {
          "type": "object", "additionalProperties": false, "required": ["name"],
          "properties": {
            "name": {"type": "string", "minLength": 1},
            "value": {` + partValue + `},
            "filename": {"type": ["string", "null"], "description": "Makes a file of a text; another name for a file."},
            "content_type": {"type": ["string", "null"], "pattern": "^[\\t -~]*$", "errorMessage": {"pattern": "can't hold CR, LF or other control characters"}}
          }
        }},
        {"type": "null"}
      ]
    }`

	given = `{"type": ["object", "array"]}` // and no expression, which may be null

	// bodyRules tie what custom has of bodies together.
	fileRef = `{"$ref": "#/properties/body/anyOf/0"}`

	bodyRules = `,
    {
      "if": {"required": ["method"], "properties": {"method": {"enum": ["GET", "HEAD"]}}},
      "then": {"properties": {
        "body": {"type": "null", "errorMessage": "a GET or HEAD request has no body; give query, or another method"},
        "form_data": {"type": "null", "errorMessage": "a GET or HEAD request has no body; give query, or another method"}
      }}
    },
    {
      "if": {"not": {"required": ["body_type"]}},
      "then": ` + noMultipart + `
    },
    {
      "if": {"required": ["body_type"], "properties": {"body_type": {"const": "json"}}},
      "then": ` + typeRule + `{"pattern": "` + jsonType + `|` + expression + `", "errorMessage": "doesn't describe a body of body_type json; leave it out, or give another body_type"}` + typeRuleEnd + `
    },
    {
      "if": {"required": ["body_type"], "properties": {"body_type": {"const": "urlencoded"}}},
      "then": {"allOf": [
        ` + typeRule + `{"pattern": "` + urlencodedType + `|` + expression + `", "errorMessage": "doesn't describe a body of body_type urlencoded; leave it out, or give another body_type"}` + typeRuleEnd + `,
        {"properties": {"body": {"type": ["object", "string", "null"], "errorMessage": {"type": "pairs are the members of an object"}, ` + keyless + `, "additionalProperties": ` + flat + `}}}
      ]}
    },
    {
      "if": {"anyOf": [
        {"required": ["body_type"], "properties": {"body_type": {"const": "form-data"}}},
        {"required": ["form_data"], "properties": {"form_data": ` + given + `}, "not": {"required": ["body_type"]}}
      ]},
      "then": ` + typeRule + `{"pattern": "` + formType + `|` + expression + `", "errorMessage": "doesn't describe a body of body_type form-data; leave it out, or give another body_type"}` + typeRuleEnd + `
    },
    {
      "if": {"required": ["body_type"], "properties": {"body_type": {"const": "raw"}}},
      "then": {"properties": {"body": {
        "anyOf": [{"type": ["string", "number", "boolean", "null"]}, ` + fileRef + `],
        "errorMessage": "a raw body is a text, or a file that is mapped whole, such as ${{ trigger.files[0] }}; an object or a list goes out with body_type json, urlencoded or form-data"
      }}}
    },
    {
      "if": {"required": ["body_type"], "properties": {"body_type": {"const": "file"}}},
      "then": {
        "required": ["body"],
        "errorMessage": {"required": "the field \"body\" is missing: body_type file wants a file that is mapped whole, such as ${{ trigger.files[0] }}"},
        "properties": {"body": {"$ref": "#/properties/body/anyOf/0", "errorMessage": "body_type file wants a file that is mapped whole, such as ${{ trigger.files[0] }}; a text goes out with body_type raw"}}
      }
    },
    {
      "if": {"required": ["body_type"], "properties": {"body_type": {"const": "none"}}},
      "then": {"properties": {"body": {"type": "null", "errorMessage": "there is a body, but body_type is none; leave one of them out"}}}
    },
    {
      "if": {"required": ["body_type"], "properties": {"body_type": {"enum": ["json", "raw", "urlencoded", "file", "none"]}}},
      "then": {"properties": {"form_data": {"type": "null", "errorMessage": "belongs to body_type form-data; leave body_type out, or give body"}}}
    },
    {
      "if": {"required": ["form_data"], "properties": {"form_data": ` + given + `}},
      "then": {"properties": {"body": {"type": "null", "errorMessage": "there is form_data too; give one of them"}}}
    },
    {
      "if": {"required": ["body_type"], "properties": {"body_type": {"enum": ["json", "urlencoded", "form-data", "none"]}}},
      "then": {"properties": {"content_type": {"maxLength": 0, "errorMessage": "belongs to body_type raw or file; the others have a type of their own"}}}
    },
    {
      "if": ` + hasType + `,
      "then": {"properties": {"content_type": {"maxLength": 0, "errorMessage": "headers has a Content-Type too; give one of them"}}}
    },
    {
      "if": {"required": ["form_data"], "properties": {"form_data": ` + given + `}, "not": {"required": ["body_type"]}},
      "then": {"properties": {"content_type": {"maxLength": 0, "errorMessage": "belongs to body_type raw or file; form-data has a type of its own"}}}
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
      "errorMessage": {"pattern": "must be a method, such as PATCH or DELETE, without spaces"},
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
      "errorMessage": {"pattern": "can't hold CR, LF or other control characters"},
      "examples": ["application/xml"]
    },` + nullsField + `,` + redirectsField + `,` + responseField + `,` + keyField + `
  },
  "allOf": [` + contentRules + bodyRules + `]
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
