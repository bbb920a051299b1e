package expr

import (
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/parser/lexer"
)

// People bring the habits of other languages. They get hints, not aliases, so
// that there is one way to write a thing.

// synonym gives this library's name for a function of another language, or "".
func synonym(name string) string {
	switch name {
	case "toLowerCase", "lowercase", "lowerAscii", "toLower":
		return "lower"
	case "toUpperCase", "uppercase", "upperAscii", "toUpper":
		return "upper"
	case "length", "size":
		return "len"
	case "strip":
		return "trim"
	case "replaceAll", "replace_all":
		return "replace"
	case "map_each", "pluck", "select":
		return "map"
	case "where":
		return "filter"
	case "fold":
		return "reduce"
	case "sort_by", "orderBy":
		return "sortBy"
	case "unique", "distinct", "removeDuplicates":
		return "uniq"
	case "some", "exists":
		return "any"
	case "every":
		return "all"
	case "avg", "average":
		return "mean"
	case "entries", "key_values":
		return "toPairs"
	case "fromEntries":
		return "fromPairs"
	case "assign", "extend":
		return "merge"
	case "append", "push":
		return "concat"
	case "flat":
		return "flatten"
	case "group_by":
		return "groupBy"
	case "keyBy":
		return "indexBy"
	case "parseJson", "parse_json", "jsonParse":
		return "fromJSON"
	case "stringify", "toJson", "format_json":
		return "toJSON"
	case "str", "toString":
		return "string"
	case "number", "toNumber", "double", "parseFloat":
		return "float"
	case "toInt", "parseInt", "integer":
		return "int"
	case "btoa", "base64encode", "base64_encode":
		return "toBase64"
	case "atob", "base64decode", "base64_decode":
		return "fromBase64"
	case "encodeURIComponent", "urlencode":
		return "urlEncode"
	case "decodeURIComponent", "urldecode":
		return "urlDecode"
	case "timestamp", "toDateTime", "parseDate", "ts_parse":
		return "date"
	case "strftime", "dateFormat", "ts_format":
		return "formatDate"
	case "includes", "has":
		return "in"
	}
	return ""
}

func functionHint(name string) string {
	switch name {
	case "iif", "if_else", "ifelse":
		return "write: condition ? value : other"
	case "ifNull", "nvl", "default", "coalesce", "ifEmpty":
		return "write: value ?? other"
	case "substring", "substr":
		return "write: text[from:to]"
	case "pow", "power":
		return "write: a ** b"
	case "includes", "has":
		return "write: item in list, or text contains part"
	}
	if s := synonym(name); s != "" {
		return didYouMean(s)
	}
	if s := synonym(strings.TrimPrefix(name, "$")); s != "" && strings.HasPrefix(name, "$") {
		return didYouMean(s)
	}
	names := make([]string, 0, len(library)+16)
	for n := range library {
		names = append(names, n)
	}
	slices.Sort(names)
	return didYouMean(Nearest(strings.TrimPrefix(name, "$"), names))
}

// foreignName gives a hint for a name that another language has in every scope.
func foreignName(name string) string {
	switch name {
	case "undefined", "None", "NULL", "Null":
		return didYouMean("null")
	case "True", "TRUE":
		return didYouMean("true")
	case "False", "FALSE":
		return didYouMean("false")
	case "$json", "payload", "event", "body":
		return didYouMean("trigger.body")
	case "$node":
		return didYouMean("steps")
	case "$now":
		return didYouMean("now()")
	case "secrets":
		return `a secret is secret("name")`
	}
	return ""
}

var unexpected = regexp.MustCompile(`^unexpected token (\w+)(?:\("((?:[^"\\]|\\.)*)"\))?$`)

// syntaxMessage says what the parser says in fewer of its own words.
func syntaxMessage(msg string) string {
	m := unexpected.FindStringSubmatch(msg)
	switch {
	case m == nil:
		return strings.ToLower(msg[:1]) + msg[1:]
	case m[1] == "EOF":
		return "the expression ends too early"
	}
	return "unexpected " + quoted(m[2])
}

// syntaxHint looks for the habit behind an error at rune at.
func syntaxHint(tokens []lexer.Token, at int) string {
	i := slices.IndexFunc(tokens, func(t lexer.Token) bool { return t.From >= at })
	if i < 0 {
		return ""
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
