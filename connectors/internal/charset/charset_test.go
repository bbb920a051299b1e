package charset

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, charset, want string }{
		{"ü", "", "ü"},
		{"ü", "utf-8", "ü"},
		{"ü", "UTF8", "ü"},
		{"\xef\xbb\xbfü", "", "ü"},
		{"\xef\xbb\xbfü", "iso-8859-1", "ü"},
		{"\xfc", "iso-8859-1", "ü"},
		{"\xfc\x80", "windows-1252", "ü€"},
		{"\xfc", "us-ascii", "ü"},
		{"\xa4", "iso-8859-15", "€"},
		{"\xff\xfea\x00\xfc\x00", "", "aü"},
		{"\xfe\xff\x00a\x00\xfc", "utf-16", "aü"},
		{"a\x00\xfc\x00", "utf-16", "aü"},
		{"\x00a\x00\xfc", "utf-16be", "aü"},
		{"\x93\xfa\x96\x7b", "shift_jis", "日本"},
		{"\xd0", "koi8-r", "п"},
		{"", "utf-16", ""},
	} {
		got, err := Decode([]byte(tt.in), tt.charset)
		if err != nil || string(got) != tt.want {
			t.Errorf("Decode(%q, %q) = %q, %v, want %q", tt.in, tt.charset, got, err, tt.want)
		}
	}
	for _, bad := range [][2]string{{"\xff", ""}, {"\xff", "utf-8"}, {"a", "klingon"}, {"a", "iso-2022-kr"}} {
		if got, err := Decode([]byte(bad[0]), bad[1]); err == nil {
			t.Errorf("Decode(%q, %q) = %q, want an error", bad[0], bad[1], got)
		}
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	r, err := Reader("ISO-8859-1", strings.NewReader("\xfc"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "ü" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Reader("klingon", nil); err == nil {
		t.Error("an unknown charset is taken")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\xff\xfea\x00"), "utf-16")
	f.Add([]byte("\x93\xfa"), "shift_jis")
	f.Add([]byte("\xfc"), "")
	f.Fuzz(func(t *testing.T, b []byte, charset string) {
		got, err := Decode(b, charset)
		if err == nil && !utf8.Valid(got) {
			t.Fatalf("Decode(%q, %q) = %q", b, charset, got)
		}
	})
}
