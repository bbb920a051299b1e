package machine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tappet-dev/tappet/engine/program"
)

const (
	leastStatus   = 200
	mostStatus    = 599
	defaultStatus = 200
)

// respond answers the waiting caller, unless an earlier step has (G25). The
// step's output is the body. The parts are computed and checked in any case.
func (m *Machine) respond(sc *scope, s *program.Step) ([]byte, *Error) {
	a := &Answer{Key: Key(sc.prefix + s.ID), Status: defaultStatus}
	if t := s.Answer.Status; t != nil {
		doc, err := m.value(s, t, "/respond/status")
		if err != nil {
			return nil, err
		}
		n, bad := strconv.Atoi(string(doc))
		if bad != nil || n < leastStatus || n > mostStatus {
			return nil, failed(s, "/respond/status",
				fmt.Errorf("a status is an integer from %d to %d, not %s", leastStatus, mostStatus, brief(doc)))
		}
		a.Status = n
	}
	if t := s.Answer.Headers; t != nil {
		doc, err := m.value(s, t, "/respond/headers")
		if err != nil {
			return nil, err
		}
		hs, place, bad := headers(doc)
		if bad != nil {
			return nil, failed(s, "/respond/headers"+place, bad)
		}
		a.Headers = hs
	}
	body, err := m.value(s, s.Answer.Body, "/respond/body")
	if err != nil {
		return nil, err
	}
	a.Body = body
	if m.answered == nil {
		m.answered = s
		m.emit(a)
	}
	return body, nil
}

// answeredBy is the id of the step that has answered the caller, "" if none has.
func (m *Machine) answeredBy() string {
	if m.answered == nil {
		return ""
	}
	return m.answered.ID
}

// warnings tells what was odd about a step that has settled (G25).
func (m *Machine) warnings(s *program.Step) []string {
	if s.Verb != program.Respond || m.slots[s.Slot].status != StepSucceeded || m.answered == s {
		return nil
	}
	return []string{"nothing was sent: the step " + strconv.Quote(m.answeredBy()) + " has answered before, and the first answer counts"}
}

// headers reads an object of strings in its written order; place is that of
// what is wrong with it.
func headers(doc []byte) (hs [][2]string, place string, err error) {
	if string(doc) == "null" {
		return nil, "", nil
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, "", fmt.Errorf("headers are an object of strings, not %s", brief(doc))
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, "", fmt.Errorf("read headers: %w", err)
		}
		name, _ := key.(string)
		place := "/" + pointer(name)
		if !token(name) {
			return nil, place, fmt.Errorf("%q is not the name of a header, which is made of letters, digits and !#$%%&'*+-.^_`|~", name)
		}
		t, err := dec.Token()
		if err != nil {
			return nil, place, fmt.Errorf("read headers: %w", err)
		}
		value, ok := t.(string)
		if !ok {
			return nil, place, errors.New("the value of a header is a string")
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, place, errors.New("the value of a header has no line breaks and no NUL")
		}
		hs = append(hs, [2]string{name, value})
	}
	return hs, "", nil
}

// token says whether s is a token of HTTP (RFC 9110, 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// brief is a value as an error shows it.
func brief(doc []byte) string {
	const most = 40
	if len(doc) <= most {
		return string(doc)
	}
	return strings.ToValidUTF8(string(doc[:most]), "") + "…"
}
