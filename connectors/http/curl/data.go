package curl

import (
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
)

// addData takes the argument of one of the options that give a body.
func (r *reader) addData(what effect, w word) {
	text := w.text
	r.hasData = true
	switch {
	case what == addJSON && !r.json:
		r.json = true
		if !r.has("Content-Type") {
			r.set("Content-Type", "application/json")
		}
		if !r.has("Accept") {
			r.set("Accept", "application/json")
		}
	case what == addEncoded:
		r.encoded(w)
		return
	}
	if name, ok := strings.CutPrefix(text, "@"); ok && what != addRaw {
		r.setFile(w, name)
		return
	}
	r.data = append(r.data, text)
}

// setFile makes a file the body; it can't be a part of one.
func (r *reader) setFile(w word, name string) {
	if r.file != "" || len(r.data) > 0 {
		r.fail(w.at, "a body of a file and other data can't be made by a step; write the file's text into the command")
		return
	}
	r.file = name
	if name == "" {
		r.file = "-"
	}
}

// encoded takes content, =content or name=content; of a file nothing can be
// encoded.
func (r *reader) encoded(w word) {
	i := strings.IndexAny(w.text, "=@")
	if i >= 0 && w.text[i] == '@' {
		r.fail(w.at, "a file can't be encoded by a step; write its text into the command")
		return
	}
	name, content := "", w.text
	if i >= 0 {
		name, content = w.text[:i], w.text[i+1:]
	}
	text := shown(content)
	if text != content {
		r.warn("the values of shell variables aren't known here: put them, or mappings, in the place of %.100q", text)
	}
	out := string(httpjson.AppendFormEscaped(nil, text))
	if name != "" {
		out = name + "=" + out
	}
	r.data = append(r.data, out)
}

// body joins what the options gave.
func (r *reader) body() string {
	if r.json {
		return strings.Join(r.data, "")
	}
	return strings.Join(r.data, "&")
}

// part takes the argument of --form: name=content, name=@file or name=<file,
// with ;type= and ;filename= behind it.
func (r *reader) part(w word) {
	name, rest, ok := strings.Cut(w.text, "=")
	if !ok || name == "" {
		r.fail(w.at, "-F wants name=value, not %.60q", shown(w.text))
		return
	}
	p := part{name: name}
	switch {
	case strings.HasPrefix(rest, "@"):
		p.file, rest = true, rest[1:]
	case strings.HasPrefix(rest, "<"):
		r.fail(w.at, "the text of a file isn't read; write it into the command, or send the file with -F %s=@…", name)
		return
	case strings.HasPrefix(rest, "("), rest == ")":
		r.fail(w.at, "a part of parts can't be sent by a step")
		return
	}
	quoted := strings.HasPrefix(strings.TrimLeft(rest, " "), `"`)
	p.value, rest = formWord(rest)
	if first, _, several := strings.Cut(p.value, ","); p.file && several && !quoted {
		r.warn("-F %s: of several files only %s is taken; write an option for each", shown(name), shown(first))
		p.value = first
	}
	for rest != "" {
		option := rest[1:]
		key, value, _ := strings.Cut(strings.TrimLeft(option, " "), "=")
		switch strings.ToLower(key) {
		case "type":
			p.contentType, rest = formWord(value)
			continue
		case "filename":
			p.filename, rest = formWord(value)
			p.named = true
			continue
		}
		value, rest = formWord(option)
		if p.contentType != "" && !p.named {
			p.contentType += ";" + value // a parameter of the type
		} else {
			r.warn("-F %s: curl leaves %q out; in double quotes a value may have semicolons", shown(name), shown(value))
		}
	}
	r.parts = append(r.parts, p)
}

// formWord reads the value of a part up to ";", or in double quotes with
// backslashes; rest is empty or begins with ";".
func formWord(s string) (value, rest string) {
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, `"`) {
		var b strings.Builder
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
				i++
				b.WriteByte(s[i])
			case s[i] == '"':
				if j := strings.IndexByte(s[i:], ';'); j >= 0 {
					return b.String(), s[i+j:]
				}
				return b.String(), ""
			default:
				b.WriteByte(s[i])
			}
		}
		// Without its end a quote is a character.
	}
	i := strings.IndexByte(s, ';')
	if i < 0 {
		i = len(s)
	}
	return strings.TrimRight(s[:i], " "), s[i:]
}
