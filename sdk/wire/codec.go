package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What Parse refuses, so that a few bytes can't become many in memory.
const (
	maxPairs  = 4096
	maxFields = 4096
	maxEvents = 1 << 16
)

// ErrFrame is what Parse returns for bytes that are no frame.
var ErrFrame = errors.New("malformed frame")

// ErrLimit is what Parse returns for a frame that passes a limit.
var ErrLimit = errors.New("frame passes a limit")

const (
	typeVarint = 0
	typeI64    = 1
	typeBytes  = 2
	typeI32    = 5
)

func appendTag(b []byte, n, t int) []byte { return binary.AppendUvarint(b, uint64(n<<3|t)) }

func appendNumber(b []byte, n int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(appendTag(b, n, typeVarint), v)
}

func appendFlag(b []byte, n int, v bool) []byte {
	if !v {
		return b
	}
	return appendNumber(b, n, 1)
}

func appendBytes[T ~string | ~[]byte](b []byte, n int, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return append(binary.AppendUvarint(appendTag(b, n, typeBytes), uint64(len(v))), v...)
}

// appendTwo writes a message of two strings as field n, also when both are
// empty: its place in the list counts.
func appendTwo[T ~string | ~[]byte](b []byte, n int, first string, second T) []byte {
	b = binary.AppendUvarint(appendTag(b, n, typeBytes), uint64(sizeBytes(len(first))+sizeBytes(len(second))))
	return appendBytes(appendBytes(b, 1, first), 2, second)
}

// sizeUvarint is the length of v as a varint.
func sizeUvarint(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// sizeBytes is the length of a string of n bytes with a one-byte tag.
func sizeBytes(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + sizeUvarint(uint64(n)) + n
}

// zigzag is protobuf's sint64: small numbers of either sign stay short.
func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// Append writes f behind b: fields in the order of their numbers, empty ones
// left out, so that equal frames have equal bytes.
func (f *Frame) Append(b []byte) []byte {
	b = appendNumber(b, 1, uint64(f.Op))
	b = appendNumber(b, 2, uint64(f.ABI))
	b = appendNumber(b, 3, f.Seq)
	b = appendBytes(b, 4, f.Part)
	b = appendBytes(b, 5, f.Name)
	b = appendBytes(b, 6, f.Text)
	b = appendBytes(b, 7, f.Kind)
	b = appendBytes(b, 8, f.Config)
	b = appendBytes(b, 9, f.Body)
	b = appendBytes(b, 10, f.Cursor)
	for i := range f.Headers {
		b = appendTwo(b, 11, f.Headers[i].Name, f.Headers[i].Value)
	}
	for i := range f.Fields {
		b = appendTwo(b, 12, f.Fields[i].Name, f.Fields[i].Value)
	}
	for i := range f.Events {
		b = appendTwo(b, 13, f.Events[i].Key, f.Events[i].Data)
	}
	b = appendNumber(b, 14, f.Millis)
	b = appendNumber(b, 15, uint64(f.Status))
	b = appendFlag(b, 16, f.More)
	b = appendFlag(b, 17, f.Stop)
	b = appendFlag(b, 18, f.Wait)
	if f.Answer != nil {
		b = f.Answer.append(b, 19)
	}
	b = appendNumber(b, 20, zigzag(f.Time))
	b = appendNumber(b, 21, f.Stream)
	b = appendNumber(b, 22, zigzag(f.Size))
	b = appendBytes(b, 23, f.Key)
	b = appendBytes(b, 24, f.Method)
	b = appendBytes(b, 25, f.URL)
	return appendBytes(b, 26, f.Query)
}

func (a *Answer) append(b []byte, n int) []byte {
	size := sizeBytes(len(a.Body))
	if a.Status != 0 {
		size += 1 + sizeUvarint(uint64(a.Status))
	}
	for i := range a.Headers {
		h := sizeBytes(len(a.Headers[i].Name)) + sizeBytes(len(a.Headers[i].Value))
		size += 1 + sizeUvarint(uint64(h)) + h
	}
	b = binary.AppendUvarint(appendTag(b, n, typeBytes), uint64(size))
	b = appendNumber(b, 1, uint64(a.Status))
	for i := range a.Headers {
		b = appendTwo(b, 2, a.Headers[i].Name, a.Headers[i].Value)
	}
	return appendBytes(b, 3, a.Body)
}

// next takes one field off b: its number, its value as a varint or as a view
// of b, and the rest.
func next(b []byte) (n int, v uint64, s, rest []byte, err error) {
	tag, k := binary.Uvarint(b)
	if k <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
		return 0, 0, nil, nil, ErrFrame
	}
	b, n = b[k:], int(tag>>3)
	switch tag & 7 {
	case typeVarint:
		if v, k = binary.Uvarint(b); k <= 0 {
			return 0, 0, nil, nil, ErrFrame
		}
		return n, v, nil, b[k:], nil
	case typeBytes:
		l, k := binary.Uvarint(b)
		if k <= 0 || l > uint64(len(b)-k) {
			return 0, 0, nil, nil, ErrFrame
		}
		end := k + int(l)
		return n, 0, b[k:end:end], b[end:], nil
	case typeI64, typeI32:
		w := 8
		if tag&7 == typeI32 {
			w = 4
		}
		if len(b) < w {
			return 0, 0, nil, nil, ErrFrame
		}
		return n, 0, nil, b[w:], nil
	}
	return 0, 0, nil, nil, ErrFrame
}

// two reads a message of two strings, of which t ends with all, and with the
// second when it is cut to upTo.
func two(b []byte, t text) (first string, second []byte, upTo text, err error) {
	for len(b) > 0 {
		n, _, s, rest, err := next(b)
		if err != nil {
			return "", nil, "", err
		}
		switch n {
		case 1:
			first = t.before(len(rest)).last(s)
		case 2:
			second, upTo = s, t.before(len(rest))
		}
		b = rest
	}
	return first, second, upTo, nil
}

// Parse fills f from the bytes of one frame and forgets what it held, but for
// the room of its lists. Its []byte fields are views of b, so b must not change
// while f is used. Unknown fields are skipped, of a repeated single field the
// last counts. Strings are taken as they are; whoever needs UTF-8 checks it.
//
// It returns an error that wraps ErrFrame or ErrLimit and never panics.
func (f *Frame) Parse(b []byte) error {
	if len(b) > MaxFrame {
		return fmt.Errorf("%w: %d bytes, %d are allowed", ErrLimit, len(b), MaxFrame)
	}
	*f = Frame{Headers: f.Headers[:0], Fields: f.Fields[:0], Events: f.Events[:0]}
	var t text
	if len(b) <= shared {
		t = text(b)
	}
	for len(b) > 0 {
		n, v, s, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if n >= 11 && n <= 13 || n == 19 {
			if err := f.setMessage(n, s, t.before(len(rest))); err != nil {
				return err
			}
			continue
		}
		f.set(n, v, s, t.before(len(rest)))
	}
	return nil
}

// shared is the most bytes of a frame whose strings are parts of one copy of it:
// a copy for each costs a guest more than all the rest of Parse.
const shared = 4 << 10

// A text is a copy of the bytes up to some place, "" if none was made.
type text string

// before is the text without its last n bytes.
func (t text) before(n int) text { return t[:max(0, len(t)-n)] }

// last gives b, which the text ends with.
func (t text) last(b []byte) string {
	if len(t) < len(b) {
		return string(b)
	}
	return string(t[len(t)-len(b):])
}

// set takes a field that is no message; t ends with s.
func (f *Frame) set(n int, v uint64, s []byte, t text) {
	switch n {
	case 1:
		f.Op = Op(v)
	case 2:
		f.ABI = uint32(v)
	case 3:
		f.Seq = v
	case 4:
		f.Part = Part(t.last(s))
	case 5:
		f.Name = t.last(s)
	case 6:
		f.Text = t.last(s)
	case 7:
		f.Kind = t.last(s)
	case 8:
		f.Config = s
	case 9:
		f.Body = s
	case 10:
		f.Cursor = t.last(s)
	case 14:
		f.Millis = v
	case 15:
		f.Status = uint32(v)
	case 16:
		f.More = v != 0
	case 17:
		f.Stop = v != 0
	case 18:
		f.Wait = v != 0
	case 20:
		f.Time = unzigzag(v)
	case 21:
		f.Stream = v
	case 22:
		f.Size = unzigzag(v)
	case 23:
		f.Key = t.last(s)
	case 24:
		f.Method = t.last(s)
	case 25:
		f.URL = t.last(s)
	case 26:
		f.Query = t.last(s)
	}
}

// setMessage takes a field that is a message; t ends with s.
func (f *Frame) setMessage(n int, s []byte, t text) error {
	if n == 19 {
		a, err := parseAnswer(s, t)
		f.Answer = a
		return err
	}
	first, second, upTo, err := two(s, t)
	if err != nil {
		return err
	}
	switch n {
	case 11:
		if len(f.Headers) == maxPairs {
			return fmt.Errorf("%w: more than %d headers", ErrLimit, maxPairs)
		}
		f.Headers = append(f.Headers, Pair{first, upTo.last(second)})
	case 12:
		if len(f.Fields) == maxFields {
			return fmt.Errorf("%w: more than %d fields", ErrLimit, maxFields)
		}
		f.Fields = append(f.Fields, Field{first, second})
	case 13:
		if len(f.Events) == maxEvents {
			return fmt.Errorf("%w: more than %d events", ErrLimit, maxEvents)
		}
		f.Events = append(f.Events, Event{first, second})
	}
	return nil
}

func parseAnswer(b []byte, t text) (*Answer, error) {
	var a Answer
	for len(b) > 0 {
		n, v, s, rest, err := next(b)
		if err != nil {
			return nil, err
		}
		b = rest
		switch n {
		case 1:
			a.Status = uint32(v)
		case 2:
			if len(a.Headers) == maxPairs {
				return nil, fmt.Errorf("%w: more than %d headers", ErrLimit, maxPairs)
			}
			first, second, upTo, err := two(s, t.before(len(rest)))
			if err != nil {
				return nil, err
			}
			a.Headers = append(a.Headers, Pair{first, upTo.last(second)})
		case 3:
			a.Body = s
		}
	}
	return &a, nil
}

// PeekOp reads the op of a frame without parsing the rest; 0 if it has none.
// The ops of a frame that Append wrote stand in front.
func PeekOp(b []byte) Op {
	n, v, _, _, err := next(b)
	if err != nil || n != 1 {
		return 0
	}
	return Op(v)
}
