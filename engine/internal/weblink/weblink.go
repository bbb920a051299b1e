// Package weblink finds a link in a Link header field (RFC 8288).
//
// It doesn't resolve or fetch what it finds. Its one rule: whatever the field
// holds, the answer comes in one pass over it.
package weblink

import "strings"

// Find gives the target of the first link with the relation, as it is written.
// The field's value may be several values joined by commas. Relations are
// compared without case. A link with an anchor is of another page, so it is
// passed over; behind something that is no link, nothing is found.
func Find(field, rel string) (target string, ok bool) {
	s := scanner{field}
	for s.separators() {
		target, relations, anchored, ok := s.link()
		if !ok {
			return "", false
		}
		if anchored {
			continue
		}
		for name := range strings.FieldsSeq(relations) {
			if strings.EqualFold(name, rel) {
				return target, true
			}
		}
	}
	return "", false
}

// A scanner holds what is left of a field (RFC 8288, appendix B.2).
type scanner struct{ rest string }

const space = " \t"

// separators passes what stands between links, and says whether one may follow.
func (s *scanner) separators() bool {
	s.rest = strings.TrimLeft(s.rest, space+",")
	return s.rest != ""
}

func (s *scanner) link() (target, relations string, anchored, ok bool) {
	rest, ok := strings.CutPrefix(s.rest, "<")
	if !ok {
		return "", "", false, false
	}
	target, s.rest, ok = strings.Cut(rest, ">")
	if !ok {
		return "", "", false, false
	}
	seen := false
	for {
		s.rest = strings.TrimLeft(s.rest, space)
		switch {
		case s.rest == "" || s.rest[0] == ',':
			return target, relations, anchored, true
		case s.rest[0] != ';':
			return "", "", false, false
		}
		s.rest = s.rest[1:]
		name, value := s.parameter()
		switch {
		case strings.EqualFold(name, "anchor"):
			anchored = true
		case !seen && strings.EqualFold(name, "rel"): // the others don't count (3.3)
			relations, seen = value, true
		}
	}
}

// parameter reads a name and its value, which may be missing.
func (s *scanner) parameter() (name, value string) {
	s.rest = strings.TrimLeft(s.rest, space)
	name = s.until(space + "=;,")
	s.rest = strings.TrimLeft(s.rest, space)
	if s.rest == "" || s.rest[0] != '=' {
		return name, ""
	}
	s.rest = strings.TrimLeft(s.rest[1:], space)
	if s.rest == "" || s.rest[0] != '"' {
		return name, strings.TrimRight(s.until(";,"), space)
	}
	s.rest = s.rest[1:]
	return name, s.quoted()
}

// until takes what stands before the first of some characters.
func (s *scanner) until(stops string) (taken string) {
	i := strings.IndexAny(s.rest, stops)
	if i < 0 {
		i = len(s.rest)
	}
	taken, s.rest = s.rest[:i], s.rest[i:]
	return taken
}

// quoted reads a quoted text behind its first quote; one that isn't closed ends
// with the field.
func (s *scanner) quoted() string {
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(s.rest):
			i++
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return b.String()
}
