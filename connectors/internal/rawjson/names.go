package rawjson

import "bytes"

// names are those that an object has had so far: a few in place, more of them
// in a map.
type names struct {
	few  [8][]byte
	n    int
	many map[string]struct{}
}

// add notes a quoted name; false when it is there already, however it was
// escaped.
func (s *names) add(quoted []byte) bool {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		text, _ := Unquote(quoted) // it was checked
		name = []byte(text)
	}
	if s.many != nil {
		_, there := s.many[string(name)]
		s.many[string(name)] = struct{}{}
		return !there
	}
	for _, x := range s.few[:s.n] {
		if bytes.Equal(x, name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	s.many = make(map[string]struct{}, 2*len(s.few))
	for _, x := range s.few {
		s.many[string(x)] = struct{}{}
	}
	s.many[string(name)] = struct{}{}
	return true
}
