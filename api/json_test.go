package api

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestDecodeIsStrict(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{
		`{"count":1}`:              true,
		`{"count":1,"count":2}`:    false,
		`{"count":1,"Count":2}`:    false,
		`{"other":1}`:              false,
		`{"count":1} {}`:           false,
		`[]`:                       false,
		`null`:                     false,
		"{\"count\":1,\"\xff\":1}": false,
	} {
		var v struct {
			Count int `json:"count"`
		}
		if err := decode([]byte(body), &v, 10); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestPointers(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{"": "", "count": "/count", "items[3].tags": "/items/3/tags", "a/b~c": "/a~1b~0c"} {
		if got := pointer(location); got != want {
			t.Errorf("%q is %q, want %q", location, got, want)
		}
	}
}

func FuzzCheckObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,{"b":null}],"c":"\u0000"}`, `{"a":1,"a":1}`, "{\"a\"\n:}", `[[[[]]]]`, " {\t} \n", "\xff", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x := checkObject(b, 5, false)
		if x == nil {
			var m map[string]any
			if err := json.Unmarshal(b, &m); err != nil {
				t.Fatalf("%q was taken: %v", b, err)
			}
			return
		}
		if x.Message == "" || x.Code == "" || x.Line < 1 || x.Line > bytes.Count(b, []byte{'\n'})+1 || x.Column < 1 {
			t.Fatalf("%q: %+v", b, x)
		}
	})
}
