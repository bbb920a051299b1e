package engine

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/tappet-dev/tappet/engine/machine"
)

// RecordKind is the kind of a journal record. The numbers are stored: they are
// never given to another kind.
type RecordKind uint8

// The kinds of records. A run's acceptance and its end are kept with the run
// itself (Begin, Finish).
const (
	// RecordSettled is the outcome of an effect.
	RecordSettled RecordKind = 1
	// RecordFired says that a timer has run out.
	RecordFired RecordKind = 2
	// RecordCancel is somebody's wish that the run ends.
	RecordCancel RecordKind = 3
	// RecordStarted is written before a call that must not be repeated.
	RecordStarted RecordKind = 4
	// RecordInDoubt says that a call was sent again because its outcome was
	// lost. Its path ends in "?" and a count.
	RecordInDoubt RecordKind = 5
)

// RecordFormat is the version of the bodies' format.
const RecordFormat = 1

// A Record is one fact of a run, or a note about one of its effects.
type Record struct {
	Kind RecordKind
	// Path is the key of the visit or timer.
	Path machine.Key
	At   time.Time
	// Body is JSON with the format's version, {"v":1,…}; nil where the kind says all.
	Body []byte
}

// A SettledBody is the body of a RecordSettled.
type SettledBody struct {
	Format int             `json:"v"`
	Output json.RawMessage `json:"output,omitempty"`
	Err    *machine.Error  `json:"error,omitempty"`
	// Input is the effect's digest, 16 hex digits.
	Input string `json:"input,omitempty"`
	// Started is when the attempt began, in milliseconds.
	Started   int64      `json:"started_ms,omitempty"`
	Exchanges []Exchange `json:"exchanges,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"`
}

// NewSettled makes the record of an outcome.
func NewSettled(key machine.Key, at, started time.Time, digest uint64, out Outcome) Record {
	b := make([]byte, 0, 128+len(out.Output)+exchangeSize*len(out.Exchanges))
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, RecordFormat, 10)
	if out.Output != nil {
		// Outputs are delimited, valid JSON; encoding/json would scan them again.
		b = append(append(b, `,"output":`...), out.Output...)
	}
	if out.Err != nil {
		b = appendMember(b, `,"error":`, out.Err)
	}
	if digest != 0 {
		b = append(b, `,"input":"`...)
		var sum [8]byte
		binary.BigEndian.PutUint64(sum[:], digest)
		b = append(hex.AppendEncode(b, sum[:]), '"')
	}
	b = append(b, `,"started_ms":`...)
	b = strconv.AppendInt(b, started.UnixMilli(), 10)
	for i := range out.Exchanges {
		if i == 0 {
			b = append(b, `,"exchanges":[`...)
		} else {
			b = append(b, ',')
		}
		b = out.Exchanges[i].appendJSON(b)
		if i == len(out.Exchanges)-1 {
			b = append(b, ']')
		}
	}
	if len(out.Warnings) > 0 {
		b = appendMember(b, `,"warnings":`, out.Warnings)
	}
	return Record{Kind: RecordSettled, Path: key, At: at, Body: append(b, '}')}
}

func appendMember(b []byte, name string, v any) []byte {
	enc, err := json.Marshal(v)
	if err != nil {
		// Only a RawMessage that isn't JSON can fail; the outcome is kept without it.
		enc = []byte("null")
	}
	return append(append(b, name...), enc...)
}

// exchangeSize is what the record of an exchange mostly takes.
const exchangeSize = 288

// appendText writes a string as encoding/json would.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			q, err := json.Marshal(s)
			if err != nil { // a string always marshals
				q = []byte(`""`)
			}
			return append(b, q...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// appendJSON writes what encoding/json would: it is on the path of every call.
func (x *Exchange) appendJSON(b []byte) []byte {
	text := func(name, v string) {
		b = appendText(append(b, name...), v)
	}
	num := func(name string, v int64) {
		if v != 0 {
			b = strconv.AppendInt(append(b, name...), v, 10)
		}
	}
	b = append(b, '{')
	text(`"method":`, x.Method)
	text(`,"url":`, x.URL)
	num(`,"status":`, int64(x.Status))
	b = append(x.Started.AppendFormat(append(b, `,"started_at":"`...), time.RFC3339Nano), '"')
	num(`,"waited_us":`, x.Waited)
	if x.WaitReason != "" {
		text(`,"wait_reason":`, x.WaitReason)
	}
	num(`,"dns_us":`, x.DNS)
	num(`,"connect_us":`, x.Connect)
	num(`,"tls_us":`, x.TLS)
	num(`,"first_byte_us":`, x.FirstByte)
	b = strconv.AppendInt(append(b, `,"total_us":`...), x.Total, 10)
	if x.Reused {
		b = append(b, `,"reused":true`...)
	}
	num(`,"sent":`, x.Sent)
	num(`,"received":`, x.Received)
	for i, r := range x.Redirects {
		if i == 0 {
			text(`,"redirects":[`, r)
		} else {
			text(`,`, r)
		}
		if i == len(x.Redirects)-1 {
			b = append(b, ']')
		}
	}
	if x.Error != "" {
		text(`,"error":`, x.Error)
	}
	return append(b, '}')
}

// Settled reads the body of a RecordSettled.
func (r Record) Settled() (SettledBody, error) {
	var s SettledBody
	if err := json.Unmarshal(r.Body, &s); err != nil {
		return s, fmt.Errorf("read record %s: %w", r.Path, err)
	}
	if s.Format != RecordFormat {
		return s, fmt.Errorf("read record %s: its format is %d, this version reads %d", r.Path, s.Format, RecordFormat)
	}
	return s, nil
}

// Fact gives the fact that a record stands for; ok is false for a note.
func (r Record) Fact() (f machine.Fact, ok bool, err error) {
	f = machine.Fact{Key: r.Path, At: machine.Millis(r.At.UnixMilli())}
	switch r.Kind {
	case RecordSettled:
		s, err := r.Settled()
		if err != nil {
			return f, false, err
		}
		var digest uint64
		if s.Input != "" {
			if digest, err = strconv.ParseUint(s.Input, 16, 64); err != nil {
				return f, false, fmt.Errorf("read record %s: %w", r.Path, err)
			}
		}
		f.Of = &machine.Settled{Output: s.Output, Err: s.Err, Input: digest}
	case RecordFired:
		f.Of = &machine.Fired{}
	case RecordCancel:
		f.Of = &machine.Cancel{}
	case RecordStarted, RecordInDoubt:
		return f, false, nil
	default:
		return f, false, fmt.Errorf("read record %s: its kind %d is not known to this version", r.Path, r.Kind)
	}
	return f, true, nil
}

func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
