package rawjson

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Bytes that aren't UTF-8 become
// U+FFFD.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[from:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[from:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			from = i
			continue
		}
		i += n
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// AppendWithoutNulls appends the value v without the members of objects, at
// every depth, that are null. Elements of lists keep their places, and a v that
// is null itself stays null. The rest is copied as it is, white space between
// members apart.
func AppendWithoutNulls(dst, v []byte) ([]byte, error) {
	s := scanner{b: v, depth: MaxDepth}
	s.space()
	dst, err := s.prune(dst)
	if err != nil {
		return nil, err
	}
	s.space()
	if s.i < len(v) {
		return nil, s.fail("there is more after the end of the value")
	}
	return dst, nil
}

// prune appends the value at s.i and passes over it.
func (s *scanner) prune(dst []byte) ([]byte, error) {
	switch {
	case s.at('{'):
		return s.pruneObject(dst)
	case s.at('['):
		return s.pruneArray(dst)
	}
	from := s.i
	if err := s.value(); err != nil {
		return nil, err
	}
	return append(dst, s.b[from:s.i]...), nil
}

func (s *scanner) pruneObject(dst []byte) ([]byte, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	empty := true
	for !s.at('}') {
		if !s.at('"') {
			return nil, s.fail("a member's name in double quotes is wanted")
		}
		from := s.i
		if err := s.text(); err != nil {
			return nil, err
		}
		name := s.b[from:s.i]
		s.space()
		if !s.at(':') {
			return nil, s.fail("a colon is wanted after a member's name")
		}
		s.i++
		s.space()
		if s.at('n') {
			if err := s.word("null"); err != nil {
				return nil, err
			}
		} else {
			if !empty {
				dst = append(dst, ',')
			}
			empty = false
			dst = append(append(dst, name...), ':')
			var err error
			if dst, err = s.prune(dst); err != nil {
				return nil, err
			}
		}
		if err := s.separator('}'); err != nil {
			return nil, err
		}
	}
	s.leave()
	return append(dst, '}'), nil
}

func (s *scanner) pruneArray(dst []byte) ([]byte, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	dst = append(dst, '[')
	for first := true; !s.at(']'); first = false {
		if !first {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = s.prune(dst); err != nil {
			return nil, err
		}
		if err := s.separator(']'); err != nil {
			return nil, err
		}
	}
	s.leave()
	return append(dst, ']'), nil
}

// separator passes over a comma that has something after it, or stops at end.
func (s *scanner) separator(end byte) error {
	s.space()
	if s.at(end) {
		return nil
	}
	if !s.at(',') {
		return s.fail("a comma or the end is wanted")
	}
	s.i++
	s.space()
	if s.at(end) {
		return s.fail("a value is wanted after a comma")
	}
	return nil
}
