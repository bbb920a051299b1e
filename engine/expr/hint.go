package expr

import (
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"
)

// People bring the habits of other languages. They get hints, not aliases, so
// that there is one way to write a thing.

// synonyms are the names that other languages have for functions of the
// library.
var synonyms = map[string]string{
	"toLowerCase": "lower", "lowercase": "lower", "lowerAscii": "lower", "toLower": "lower", "lcase": "lower",
	"toUpperCase": "upper", "uppercase": "upper", "upperAscii": "upper", "toUpper": "upper", "ucase": "upper",
	"length": "len", "size": "len", "strip": "trim", "trimSpace": "trim", "squish": "normalizeSpace",
	"replaceAll": "replace", "replace_all": "replace", "re_replace": "replaceRegexp", "re_replace_all": "replaceRegexp", "regexReplace": "replaceRegexp",
	"re_match": "match", "re_find_all": "matchAll", "extract": "match", "regexMatch": "match", "re_find_object": "matchGroups", "quotemeta": "escapeRegexp",
	"trim_prefix": "trimPrefix", "trim_suffix": "trimSuffix",
	"leftPad": "padStart", "lpad": "padStart", "rightPad": "padEnd", "rpad": "padEnd", "ellipsis": "truncate",
	"startcase": "titleCase", "toTitleCase": "titleCase", "toSnakeCase": "snakeCase", "toCamelCase": "camelCase", "toKebabCase": "kebabCase",
	"slugify": "slug", "deburr": "removeAccents", "unidecode": "removeAccents", "htmlEscape": "escapeHtml", "escape_html": "escapeHtml",
	"unescape_html": "unescapeHtml", "removeTags": "stripHtml", "strip_html": "stripHtml", "isURL": "isUrl", "countOf": "occurrences",
	"map_each": "map", "pluck": "map", "select": "map", "transform": "map", "where": "filter", "fold": "reduce",
	"sort_by": "sortBy", "orderBy": "sortBy", "unique": "uniq", "distinct": "uniq", "removeDuplicates": "uniq", "uniqueBy": "uniqBy",
	"some": "any", "exists": "any", "every": "all", "avg": "mean", "average": "mean", "flat": "flatten", "append": "concat", "push": "concat",
	"group_by": "groupBy", "keyBy": "indexBy", "key_by": "indexBy", "tally": "countBy", "slice": "take", "skip": "drop", "limit": "take",
	"except": "difference", "without": "difference", "subtract": "difference", "intersect": "intersection", "windowed": "sliding", "window": "sliding",
	"toArray": "asList", "ensureArray": "asList", "wrap": "asList", "collapse": "flattenObject", "explode": "unflattenObject",
	"entries": "toPairs", "key_values": "toPairs", "fromEntries": "fromPairs", "assign": "merge", "extend": "merge", "spread": "merge",
	"deepMerge": "mergeDeep", "defaultsDeep": "mergeDeep", "without_nulls": "withoutNulls", "compactObject": "withoutNulls", "renameKeys": "rename",
	"parseJson": "fromJSON", "parse_json": "fromJSON", "jsonParse": "fromJSON", "stringify": "toJSON", "toJson": "toJSON", "format_json": "toJSON",
	"parse_csv": "parseCsv", "fromCsv": "parseCsv", "fromCSV": "parseCsv", "toCsv": "formatCsv", "toCSV": "formatCsv", "parse_xml": "parseXml", "fromXml": "parseXml", "fromXML": "parseXml",
	"str": "string", "toString": "string", "text": "string", "number": "float", "toNumber": "float", "double": "float", "parseFloat": "float",
	"toInt": "int", "parseInt": "int", "integer": "int", "boolean": "bool", "toBoolean": "bool", "big": "decimal", "bigdecimal": "decimal",
	"formatCurrency": "formatNumber", "numberFormat": "formatNumber", "format_number": "formatNumber", "formatBase": "toBase",
	"btoa": "toBase64", "base64encode": "toBase64", "base64_encode": "toBase64", "base64Encode": "toBase64",
	"atob": "fromBase64", "base64decode": "fromBase64", "base64_decode": "fromBase64", "base64Decode": "fromBase64",
	"encodeURIComponent": "urlEncode", "encodeUrlComponent": "urlEncode", "urlencode": "urlEncode", "escape_url_query": "urlEncode",
	"decodeURIComponent": "urlDecode", "decodeUrlComponent": "urlDecode", "urldecode": "urlDecode", "unescape_url_query": "urlDecode",
	"parse_url": "parseUrl", "url_parse": "parseUrl", "querystring": "formatQuery", "urlJoin": "resolveUrl",
	"timestamp": "date", "toDateTime": "date", "parseDate": "date", "ts_parse": "date", "toMillis": "unixMillis", "fromMillis": "fromUnixMillis",
	"ts_unix": "unix", "ts_unix_milli": "unixMillis", "ts_tz": "inZone", "setZone": "inZone", "timezone": "inZone", "tz": "inZone",
	"strftime": "formatDate", "dateFormat": "formatDate", "ts_format": "formatDate", "toFormat": "formatDate", "format_date": "formatDate",
	"beginningOf": "startOf", "endOfMonth": "endOf", "startOfDay": "startOf", "diffTo": "dateDiff", "datediff": "dateDiff", "diffNow": "dateDiff",
	"plusDays": "addDays", "plusMonths": "addMonths", "dayOfWeek": "weekday", "getDay": "weekday", "getFullYear": "year", "getMonth": "month",
	"weekNumber": "isoWeek", "parse_duration": "duration", "parse_duration_iso8601": "duration", "strptime": "date", "ts_strptime": "date", "ts_strftime": "formatDate",
	"uuid_v4": "uuid", "uuidv4": "uuid", "randomUUID": "uuid", "uuid_v5": "uuid5", "nanoid": "shortId", "ksuid": "ulid", "guid": "uuid", "hash": "sha256",
	"includes": "in", "has": "in", "throw": "fail", "error": "fail", "raise": "fail", "lookup": "getPath", "dig": "getPath", "empty": "isEmpty",
}

// rewrites are the functions of other languages that are operators here.
var rewrites = map[string]string{
	"iif": "write: condition ? value : other", "if_else": "write: condition ? value : other", "ifelse": "write: condition ? value : other",
	"ifNull": "write: value ?? other", "nvl": "write: value ?? other", "default": "write: value ?? other", "coalesce": "write: value ?? other",
	"ifEmpty": "write: value ?? other", "or": "write: value ?? other", "catch": "write: value ?? other",
	"ltrim": "write: trim(text), or trimPrefix(text, prefix)", "trimStart": "write: trim(text), or trimPrefix(text, prefix)", "trimLeft": "write: trim(text), or trimPrefix(text, prefix)",
	"rtrim": "write: trim(text), or trimSuffix(text, suffix)", "trimEnd": "write: trim(text), or trimSuffix(text, suffix)", "trimRight": "write: trim(text), or trimSuffix(text, suffix)",
	"substring": "write: text[from:to]", "substr": "write: text[from:to]", "left": "write: text[:length]", "right": "write: text[-length:]",
	"charAt": "write: text[index]", "at": "write: list[index]", "nth": "write: list[index]",
	"pow": "write: a ** b", "power": "write: a ** b", "mod": "write: a % b",
	"includes": "write: item in list, or text contains part", "has": "write: item in list, or text contains part",
	"isIn": "write: item in list", "hasField": "write: \"name\" in object", "equals": "write: a == b", "isNull": "write: value == null", "isDefined": "write: value != null",
	"flatMap": "write: list | map(…) | flatten()", "partition": "write: filter(list, condition), and filter(list, not condition)",
	"isBefore": "write: a < b", "isAfter": "write: a > b", "minus": "write: time - duration(\"1h\")", "plus": "write: time + duration(\"1h\")",
	"random": "nothing here is random; ids are made by uuid()", "rand": "nothing here is random; ids are made by uuid()", "randomInt": "nothing here is random; ids are made by uuid()",
	"env": "there are no environment variables here", "sprintf": "write a text with ${{ }} in it, or toFixed()", "format": "write a text with ${{ }} in it, or toFixed()",
}

// foreignNames are the names that other languages have in every scope.
var foreignNames = map[string]string{
	"undefined": didYouMean("null"), "None": didYouMean("null"), "NULL": didYouMean("null"), "Null": didYouMean("null"), "NaN": "a number is always finite here",
	"True": didYouMean("true"), "TRUE": didYouMean("true"), "False": didYouMean("false"), "FALSE": didYouMean("false"),
	"$json": didYouMean("trigger.body"), "payload": didYouMean("trigger.body"), "event": didYouMean("trigger.body"), "body": didYouMean("trigger.body"),
	"this": didYouMean("trigger.body"), "root": didYouMean("trigger.body"), "input": didYouMean("trigger.body"), "$input": didYouMean("trigger.body"),
	"$node": didYouMean("steps"), "$now": didYouMean("now()"), "$today": didYouMean("today()"), "$index": didYouMean("#index"),
	"item": "the item of a list is #, and its fields are .name", "$item": "the item of a list is #, and its fields are .name",
	"secrets": `a secret is secret("name")`, "Math": "functions have no prefix: round(x), floor(x)", "JSON": "write fromJSON(text) or toJSON(value)",
	"Object": "write keys(x), values(x) or toPairs(x)", "DateTime": "write now() or date(text)", "Date": "write now() or date(text)",
}

// synonym gives this library's name for a function of another language, or "".
func synonym(name string) string { return synonyms[name] }

func functionHint(name string) string {
	plain := strings.TrimPrefix(name, "$")
	if hint := rewrites[plain]; hint != "" {
		return hint
	}
	if s := synonym(plain); s != "" {
		return didYouMean(s)
	}
	names := make([]string, len(ordered))
	for i, s := range ordered {
		names[i] = s.name
	}
	return didYouMean(Nearest(plain, names))
}

// foreignName gives a hint for a name that another language has in every scope,
// as far as there is here what it names.
func (c *compiler) foreignName(name string) string {
	hint := foreignNames[name]
	if hint != didYouMean("trigger.body") {
		return hint
	}
	switch _, v := c.scope.find("trigger"); {
	case v == nil:
		return ""
	case v.Type != nil && !v.Type.dyn && v.Type.prop("body") == nil:
		return didYouMean("trigger")
	}
	return hint
}

var unexpected = regexp.MustCompile(`^unexpected token (\w+)(?:\("((?:[^"\\]|\\.)*)"\))?$`)

// syntaxMessage says what the parser says in fewer of its own words.
func syntaxMessage(msg string) string {
	m := unexpected.FindStringSubmatch(msg)
	switch {
	case strings.HasPrefix(msg, "invalid ") && strings.HasSuffix(msg, "value out of range"):
		if strings.HasPrefix(msg, "invalid float") {
			return "the number is too large"
		}
		return "the number is more than a 64-bit integer holds; compute with decimal(\"…\"), or write a text"
	case strings.HasPrefix(msg, "a map key must be"):
		return "a key is a name, a text in quotes, a number, or an expression in ( )"
	case strings.HasPrefix(msg, "unrecognized character"):
		_, c, _ := strings.Cut(msg, "'")
		return "the character " + quoted(strings.TrimSuffix(c, "'")) + " has no meaning here"
	case msg == unclosedText:
		return "the text isn't closed by its quote"
	case m == nil:
		return strings.ToLower(msg[:1]) + msg[1:]
	case m[1] == "EOF":
		return "the expression ends too early"
	}
	return "unexpected " + quoted(m[2])
}

// syntaxPlace is where what an error is about begins, in runes: the parser's
// place is the end of a text that isn't closed, and behind a number that is too
// large.
func syntaxPlace(src string, tokens []lexer.Token, err *file.Error) int {
	switch {
	case err.Message == unclosedText || err.Message == "unclosed comment":
		if at := openLiteral(src); at >= 0 {
			return at
		}
	case strings.HasSuffix(err.Message, "value out of range"):
		for i := len(tokens) - 1; i >= 0; i-- {
			if tokens[i].Kind == lexer.Number && tokens[i].From <= err.From {
				return tokens[i].From
			}
		}
	}
	return err.From
}

const unclosedText = "literal not terminated"

// openLiteral gives the rune at which a text or a comment begins that has no
// end, -1 when there is none.
func openLiteral(src string) int {
	rs := []rune(src)
	for i := 0; i < len(rs); i++ {
		from, c := i, rs[i]
		switch {
		case c == '"' || c == '\'' || c == '`':
			for i++; i < len(rs) && rs[i] != c; i++ {
				if c == '`' {
					continue
				}
				if rs[i] == '\n' {
					return from
				}
				if rs[i] == '\\' {
					i++
				}
			}
			if i >= len(rs) {
				return from
			}
		case c == '/' && i+1 < len(rs) && rs[i+1] == '/':
			for i < len(rs) && rs[i] != '\n' {
				i++
			}
		case c == '/' && i+1 < len(rs) && rs[i+1] == '*':
			for i += 2; i+1 < len(rs) && (rs[i] != '*' || rs[i+1] != '/'); {
				i++
			}
			if i+1 >= len(rs) {
				return from
			}
			i++
		}
	}
	return -1
}

// syntaxHint looks for the habit behind an error at rune at.
func syntaxHint(tokens []lexer.Token, at int, msg string) string {
	if strings.HasPrefix(msg, "unrecognized character") && strings.ContainsAny(msg, "“”‘’„«»") {
		return `write straight quotes: "text"`
	}
	// The smallest integer is read as a minus and a number that is too large.
	for i, t := range tokens {
		if t.Kind == lexer.Number && t.Value == "9223372036854775808" && i > 0 && tokens[i-1].Is(lexer.Operator, "-") && t.From <= at {
			return "write -9223372036854775807 - 1"
		}
	}
	i := slices.IndexFunc(tokens, func(t lexer.Token) bool { return t.From >= at })
	if i < 0 {
		if i = len(tokens) - 1; i < 0 {
			return ""
		}
	}
	token := func(k int) lexer.Token {
		if k < 0 || k >= len(tokens) {
			return lexer.Token{}
		}
		return tokens[k]
	}
	t, before, after := token(i), token(i-1), token(i+1)
	op := func(t lexer.Token, v string) bool { return t.Is(lexer.Operator, v) }
	switch {
	case before.Kind == lexer.Identifier && op(token(i-2), "|"):
		return "a function is called: … | " + before.Value + "()"
	case op(t, "*") && before.Is(lexer.Bracket, "["):
		return "for all items write map(list, .name)"
	case op(t, "=") && op(after, ">"), op(t, ">") && op(before, "="):
		return "the item of a list is #: filter(list, #.done)"
	case op(t, "=") && op(before, "=="), op(t, "=") && op(before, "!="):
		return "write == and !="
	case op(t, "="):
		return "write == to compare"
	case op(t, "&"):
		return "write && for and, + to join texts"
	case op(t, ">") && op(before, "<"):
		return "write !="
	case t.Is(lexer.String) && before.Is(lexer.String) && before.To == t.From:
		return `a quote inside of a text: "it's", or \'`
	case op(t, ":") && token(i-2).Is(lexer.Bracket, "{"):
		return "the braces of a predicate aren't an object; double them: map(list, {{name: .name}})"
	case after.Is(lexer.Bracket, "(") && (op(t, "contains") || op(t, "startsWith") || op(t, "endsWith") || op(t, "matches")):
		return "it stands between its operands: a " + t.Value + " b"
	case t.Is(lexer.Bracket, "{") || t.Is(lexer.Bracket, "}"):
		return "an expression is written once in ${{ }}"
	}
	return ""
}
