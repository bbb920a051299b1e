package curl

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A word is one argument of a command. A shell variable in it is its name
// between two marks.
type word struct {
	text string
	at   int
}

// mark encloses the name of a shell variable in a word: no argument can hold it.
const mark = "\x00"

// split gives the words of the first command in a shell's source (POSIX.1-2017,
// Shell Command Language, 2.2 and 2.3).
func split(source string) (words []word, warnings []string, problems []Problem) {
	if i := strings.Index(source, mark); i >= 0 {
		return nil, nil, []Problem{{Offset: i, Message: "a command can't hold NUL"}}
	}
	l := lexer{s: source}
	for l.next() {
	}
	if rest := strings.TrimSpace(l.s[min(l.i, len(l.s)):]); rest != "" && !strings.HasPrefix(rest, "#") {
		l.warnings = append(l.warnings, fmt.Sprintf(
			"only the first command is read; what follows is left out: %.60q. Is a quote around the URL missing?", rest))
	}
	return l.words, l.warnings, l.problems
}

type lexer struct {
	s        string
	i        int
	words    []word
	warnings []string
	problems []Problem
}

func (l *lexer) fail(at int, format string, args ...any) {
	l.problems = append(l.problems, Problem{Offset: at, Message: fmt.Sprintf(format, args...)})
}

// next reads the next word; false at the end of the command.
func (l *lexer) next() bool {
	l.space()
	if l.i == len(l.s) || l.ends() {
		return false
	}
	from := l.i
	var b strings.Builder
	for l.i < len(l.s) && !l.ends() {
		c := l.s[l.i]
		switch {
		case isSpace(c):
			l.add(from, b.String())
			return true
		case l.continued():
		case c == '\\':
			l.i++
			if l.i < len(l.s) {
				b.WriteByte(l.s[l.i])
				l.i++
			}
		case c == '\'':
			l.single(&b)
		case c == '"':
			l.i++
			l.double(&b)
		case strings.HasPrefix(l.s[l.i:], "$'"):
			l.ansi(&b)
		case strings.HasPrefix(l.s[l.i:], `$"`):
			l.i += 2
			l.double(&b)
		case c == '$' || c == '`':
			l.dollar(&b)
		default:
			b.WriteByte(c)
			l.i++
		}
	}
	l.add(from, b.String())
	return true
}

func (l *lexer) add(at int, text string) {
	if !utf8.ValidString(text) {
		l.fail(at, "this argument isn't UTF-8; give such bytes as a file")
	}
	l.words = append(l.words, word{text, at})
}

// space passes over blanks, continued lines and, before the first word, ends of
// lines and comments.
func (l *lexer) space() {
	for l.i < len(l.s) {
		switch c := l.s[l.i]; {
		case isSpace(c), len(l.words) == 0 && c == '\n':
			l.i++
		case l.continued():
		case c == '#' && len(l.words) == 0:
			for l.i < len(l.s) && l.s[l.i] != '\n' {
				l.i++
			}
		case c == '#':
			return
		default:
			return
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// ends says whether the command ends here: an end of line or an operator. A
// comment begins only where a word could.
func (l *lexer) ends() bool {
	c := l.s[l.i]
	return strings.IndexByte("\n;&|<>()", c) >= 0 ||
		c == '#' && (l.i == 0 || strings.IndexByte(" \t\r\n", l.s[l.i-1]) >= 0)
}

// continued passes over a backslash with an end of line.
func (l *lexer) continued() bool {
	for _, end := range []string{"\\\n", "\\\r\n"} {
		if strings.HasPrefix(l.s[l.i:], end) {
			l.i += len(end)
			return true
		}
	}
	return false
}

func (l *lexer) single(b *strings.Builder) {
	end := strings.IndexByte(l.s[l.i+1:], '\'')
	if end < 0 {
		l.fail(l.i, "this single quote isn't closed")
		l.i = len(l.s)
		return
	}
	b.WriteString(l.s[l.i+1 : l.i+1+end])
	l.i += end + 2
}

func (l *lexer) double(b *strings.Builder) {
	from := l.i - 1
	for l.i < len(l.s) {
		switch c := l.s[l.i]; {
		case c == '"':
			l.i++
			return
		case l.continued():
		case c == '\\' && l.i+1 < len(l.s) && strings.IndexByte("$`\"\\", l.s[l.i+1]) >= 0:
			b.WriteByte(l.s[l.i+1])
			l.i += 2
		case c == '$' || c == '`':
			l.dollar(b)
		default:
			b.WriteByte(c)
			l.i++
		}
	}
	l.fail(from, "this double quote isn't closed")
}

// dollar reads what a shell would expand.
func (l *lexer) dollar(b *strings.Builder) {
	rest := l.s[l.i:]
	switch {
	case rest[0] == '`', strings.HasPrefix(rest, "$("):
		l.fail(l.i, "this is the output of another command, which isn't run here; write its value")
		l.i = len(l.s)
		return
	case strings.HasPrefix(rest, "${") && nameLen(rest[2:]) > 0:
		n := nameLen(rest[2:])
		if len(rest) <= 2+n || rest[2+n] != '}' {
			l.fail(l.i, "only ${NAME} is understood of what a shell expands; write the value")
			l.i = len(l.s)
			return
		}
		b.WriteString(mark + rest[2:2+n] + mark)
		l.i += n + 3
		return
	case nameLen(rest[1:]) > 0:
		n := nameLen(rest[1:])
		b.WriteString(mark + rest[1:1+n] + mark)
		l.i += n + 1
		return
	}
	b.WriteByte('$')
	l.i++
}

// nameLen is the length of the name of a variable at the beginning of s.
func nameLen(s string) int {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}

// ansi reads $'…' (bash, ANSI-C Quoting).
func (l *lexer) ansi(b *strings.Builder) {
	from := l.i
	l.i += 2
	for l.i < len(l.s) {
		c := l.s[l.i]
		l.i++
		switch {
		case c == '\'':
			return
		case c != '\\':
			b.WriteByte(c)
		case l.i < len(l.s):
			l.escape(b, from)
		}
	}
	l.fail(from, "this $' isn't closed")
}

// escape reads what follows a backslash in $'…'.
func (l *lexer) escape(b *strings.Builder, from int) {
	c := l.s[l.i]
	l.i++
	code := func(most, base int) {
		n := 0
		for n < most && l.i+n < len(l.s) {
			if _, err := strconv.ParseUint(l.s[l.i+n:l.i+n+1], base, 8); err != nil {
				break
			}
			n++
		}
		v, err := strconv.ParseUint(l.s[l.i:l.i+n], base, 32)
		l.i += n
		switch {
		case err != nil: // no digit
			b.WriteByte('\\')
			b.WriteByte(c)
		case v == 0:
			l.fail(from, "this argument holds NUL")
		case most > 3:
			b.WriteRune(rune(v)) // what is no character is U+FFFD
		default:
			b.WriteByte(byte(v))
		}
	}
	switch {
	case strings.IndexByte(`abefnrtvE`, c) >= 0:
		b.WriteByte(map[byte]byte{
			'a': 7, 'b': 8, 'e': 27, 'E': 27, 'f': 12, 'n': '\n', 'r': '\r', 't': '\t', 'v': 11,
		}[c])
	case strings.IndexByte(`\'"?`, c) >= 0:
		b.WriteByte(c)
	case '0' <= c && c <= '7':
		l.i--
		code(3, 8)
	case c == 'x':
		code(2, 16)
	case c == 'u':
		code(4, 16)
	case c == 'U':
		code(8, 16)
	default:
		b.WriteByte('\\')
		b.WriteByte(c)
	}
}
