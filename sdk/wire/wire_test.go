package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tappet-dev/tappet/sdk/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// frames holds one of each op that carries something, and one with all fields.
func frames() map[string]wire.Frame {
	return map[string]wire.Frame{
		"ready":    {Op: wire.OpReady, ABI: wire.ABI},
		"describe": {Op: wire.OpDescribe},
		"poll":     {Op: wire.OpCall, Part: wire.PartPoll, Name: "new_item", Config: []byte(`{"url":"x"}`), Cursor: "c", Millis: 30000},
		"action": {Op: wire.OpCall, Part: wire.PartAction, Name: "post", Key: "k", Fields: []wire.Field{
			{Name: "url", Value: []byte(`"u"`)}, {Name: "", Value: nil},
		}},
		"batch":        {Op: wire.OpReturn, Cursor: "d", Time: 1767225600000000001, Events: []wire.Event{{Key: "1", Data: []byte(`{}`)}, {}}},
		"failed":       {Op: wire.OpReturn, Kind: "rate_limited", Text: "slow down", Millis: 3000, Body: []byte(`"partial"`)},
		"answer":       {Op: wire.OpReturn, Wait: true, Answer: &wire.Answer{Status: 201, Headers: []wire.Pair{{Name: "A", Value: "b"}}, Body: []byte{0, 255}}},
		"check":        {Op: wire.OpCall, Part: wire.PartCheck, Config: []byte(`{}`), Millis: 1},
		"options":      {Op: wire.OpCall, Part: wire.PartOptions, Name: "channels", Config: []byte(`{}`)},
		"state":        {Op: wire.OpState, Name: "since"},
		"set state":    {Op: wire.OpSetState, Name: "since", Body: []byte("2026")},
		"empty answer": {Op: wire.OpReturn, Answer: &wire.Answer{}},
		"all": {
			Op: 99, ABI: 1, Seq: 1 << 40, Part: "p", Name: "n", Text: "t", Kind: "k", Config: []byte("c"), Body: []byte("b"),
			Cursor: "cu", Headers: []wire.Pair{{Name: "h", Value: "v"}}, Fields: []wire.Field{{Name: "f", Value: []byte("1")}},
			Events: []wire.Event{{Key: "e", Data: []byte("2")}}, Millis: 5, Status: 200, More: true, Stop: true, Wait: true,
			Answer: &wire.Answer{Status: 1}, Time: -1, Stream: 7, Size: -1, Key: "ke", Method: "GET", URL: "u", Query: "q",
		},
	}
}

// TestGolden holds the bytes that plugins out in the world have.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, f := range frames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := f.Append(nil)
			path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".hex")
			if *update {
				if err := os.WriteFile(path, fmt.Appendf(nil, "%x\n", got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := hex.DecodeString(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("written %x, %x is wanted", got, want)
			}
			var back wire.Frame
			if err := back.Parse(want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(f, back, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if wire.PeekOp(want) != f.Op {
				t.Errorf("peeked %d, %d is wanted", wire.PeekOp(want), f.Op)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in  string
		err error
	}{
		"no length":       {"\x2a", wire.ErrFrame},
		"a lying length":  {"\x2a\x05ab", wire.ErrFrame},
		"a huge length":   {"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", wire.ErrFrame},
		"a group":         {"\x0b", wire.ErrFrame},
		"field 0":         {"\x00\x01", wire.ErrFrame},
		"a long varint":   {strings.Repeat("\xff", 11), wire.ErrFrame},
		"a lying pair":    {"\x5a\x02\x0a\x05", wire.ErrFrame},
		"a lying answer":  {"\x9a\x01\x02\x0a\x05", wire.ErrFrame},
		"many headers":    {strings.Repeat("\x5a\x00", 4097), wire.ErrLimit},
		"many fields":     {strings.Repeat("\x62\x00", 4097), wire.ErrLimit},
		"many events":     {strings.Repeat("\x6a\x00", 1<<16+1), wire.ErrLimit},
		"too large":       {strings.Repeat("\x00", wire.MaxFrame+1), wire.ErrLimit},
		"unknown is fine": {"\xfa\x07\x03abc\xf8\x07\x01\xf9\x0712345678\xfd\x071234", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f wire.Frame
			if err := f.Parse([]byte(tt.in)); !errors.Is(err, tt.err) {
				t.Errorf("%v, %v is wanted", err, tt.err)
			}
		})
	}
}

// The strings of a short frame are parts of one copy, those of a long one have
// their own: they are the same.
func TestParseLongAndShort(t *testing.T) {
	t.Parallel()
	for name, f := range frames() {
		f.Body = nil
		var short, long wire.Frame
		if err := short.Parse(f.Append(nil)); err != nil {
			t.Fatal(err)
		}
		f.Body = make([]byte, 8<<10)
		b := f.Append(nil)
		if err := long.Parse(b); err != nil {
			t.Fatal(err)
		}
		long.Body = nil
		if diff := cmp.Diff(short, long, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for i := range b { // no string is a view
			b[i] = 'x'
		}
		long.Fields, short.Fields, long.Events, short.Events, long.Config, short.Config = nil, nil, nil, nil, nil, nil
		long.Answer, short.Answer = nil, nil
		if diff := cmp.Diff(short, long, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s, behind the frame's end: %s", name, diff)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, x := range frames() {
		f.Add(x.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var one, two wire.Frame
		if one.Parse(b) != nil {
			return
		}
		if err := two.Parse(one.Append(nil)); err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if diff := cmp.Diff(one, two, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func frame300() wire.Frame {
	return wire.Frame{Op: wire.OpReturn, Cursor: "c", Events: []wire.Event{{Key: "k", Data: bytes.Repeat([]byte("x"), 290)}}}
}

func BenchmarkAppend(b *testing.B) {
	f := frame300()
	buf := f.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = f.Append(buf[:0])
	}
}

func BenchmarkParse(b *testing.B) {
	x := frame300()
	buf := x.Append(nil)
	var f wire.Frame
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Parse(buf); err != nil {
			b.Fatal(err)
		}
	}
}
