package scan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/wasm/scan"
	"github.com/tappet-dev/tappet/sdk"
)

func TestParse(t *testing.T) {
	t.Parallel()
	m, err := scan.Parse(guest.Module{Locals: []byte("\x01\x02\x7e"), Start: []byte("\x02\x40\x03\x40\x0b\x0b")}.Bytes(), scan.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := m.Export("_start", scan.ExportFunction); !ok || e.Index != 1 || len(m.Function(1).Params) != 0 {
		t.Errorf("exports %v", m.Exports)
	}
	if len(m.Imports) != 1 || m.Imports[0].Name != "swap" || len(m.Function(0).Params) != 4 {
		t.Errorf("imports %v", m.Imports)
	}
	if m.Most.Locals != 2 || m.Most.Depth != 3 || m.Most.Work != 6 {
		t.Errorf("%+v", m.Most)
	}
}

// What nobody reads is left out: a decoder trusts the counts in it.
func TestBytesDropsCustomSections(t *testing.T) {
	t.Parallel()
	plain := guest.Module{}.Bytes()
	m, err := scan.Parse(append(slices.Clone(plain), "\x00\x06\x04name\x01"...), scan.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Bytes(nil, 0); string(got) != string(plain) {
		t.Errorf("%x, %x is wanted", got, plain)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	nested := guest.Module{
		Locals: []byte("\x01\x03\x7f"), Start: []byte("\x02\x40\x02\x40\x0b\x0b"),
		Sections: map[byte][]byte{4: []byte("\x01\x70\x00\x07")},
		More:     [][]byte{guest.Function(""), guest.Function("")},
	}.Bytes()
	for _, tt := range []struct {
		text   string
		limits scan.Limits
	}{
		{"3 functions, 2 are allowed", scan.Limits{Functions: 2}},
		{"a function has 10 bytes, 8 are allowed", scan.Limits{Body: 8}},
		{"3 locals or more, 2 are allowed", scan.Limits{Locals: 2}},
		{"locals × blocks of a function are more than 7", scan.Limits{Work: 7}},
		{"blocks nest deeper than 2", scan.Limits{Depth: 2}},
		{"the table begins with 7 elements, 6 are allowed", scan.Limits{Table: 6}},
		{"the memory begins with 131072 bytes, 131071 are allowed", scan.Limits{Memory: 131071}},
		{"3 types, 2 are allowed", scan.Limits{Items: 2}},
		{"4 values of a type, 3 are allowed", scan.Limits{Values: 3}},
	} {
		_, err := scan.Parse(nested, tt.limits)
		if sdk.KindOf(err) != sdk.TooLarge || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("kind %s: %v; %q is wanted", sdk.KindOf(err), err, tt.text)
		}
	}
	if _, err := scan.Parse(nested, scan.Limits{}); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(guest.Module{}.Bytes())
	f.Add(guest.Module{Start: []byte(guest.Ready + "\x1a\x03\x40\x41\x7f\x42\x80\x01\xfc\x0a\x00\x00\x0c\x00\x0b")}.Bytes())
	small := scan.Limits{Functions: 1000, Body: 1 << 16, Items: 1000, Table: 1000, Memory: 1 << 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := scan.Parse(b, small)
		if err != nil {
			if k := sdk.KindOf(err); k != sdk.Invalid && k != sdk.TooLarge {
				t.Errorf("kind %s: %v", k, err)
			}
			return
		}
		// What is written again is the same to a scan.
		again, err := scan.Parse(m.Bytes(nil, 0), small)
		if err != nil {
			t.Fatalf("scanned again: %v", err)
		}
		if string(again.Bytes(nil, 0)) != string(m.Bytes(nil, 0)) {
			t.Error("written again it differs")
		}
		// The decoder may refuse it, and must survive it.
		rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(16))
		_, _ = rt.CompileModule(t.Context(), m.Bytes(nil, 0))
		_ = rt.Close(t.Context())
	})
}
