package expr

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"a":[1,-0.5e+3,"\u00e9\n",true,false,null,{}]}`: ``,
		" \n[ ] ":      ``,
		``:             `json: the document ends too early, at offset 0: a value is expected`,
		`{"a" 1}`:      `json: a colon is expected at offset 5`,
		`{"a":1,}`:     `json: a name in quotes is expected at offset 7`,
		`[1,]`:         `json: a value is expected at offset 3`,
		`[1 2]`:        `json: a comma or a closing bracket is expected at offset 3`,
		`[1}`:          `json: a comma or a closing bracket is expected at offset 2`,
		`01`:           `json: no digit may follow a leading zero at offset 1`,
		`1.`:           `json: the document ends too early, at offset 2: a digit is expected`,
		`1 x`:          `json: the end is expected at offset 2`,
		`"\x"`:         `json: an escape is expected at offset 2`,
		`"\u00g0"`:     `json: four hexadecimal digits are expected at offset 5`,
		"\"a\nb\"":     `json: a control character in a string must be escaped at offset 2`,
		`"a`:           `json: the document ends too early, at offset 2: a closing quote is expected`,
		"[\"ok\xff\"]": `json: invalid UTF-8 at offset 4`,
		`nul`:          `json: null is expected at offset 0`,
		`[[[1]]]`:      ``,
		`[[[[1]]]]`:    `json: nested more than 3 deep at offset 3`,
	} {
		err := CheckJSON([]byte(doc), 3)
		if got := errorText(err); got != want {
			t.Errorf("%s: %s, want %s", doc, got, want)
		}
	}
	if CheckJSON([]byte(strings.Repeat("[", 200)+strings.Repeat("]", 200)), 0) != nil {
		t.Error("200 deep is refused")
	}
	if CheckJSON([]byte(strings.Repeat("[", 201)+strings.Repeat("]", 201)), 0) == nil {
		t.Error("201 deep is allowed")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// decoded is a value with all that is raw in it decoded.
func decoded(f *frame, v any) any {
	switch x := f.force(v).(type) {
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = decoded(f, x[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k := range x {
			out[k] = decoded(f, x[k])
		}
		return out
	default:
		return x
	}
}

// stdlib is what encoding/json makes of a document, in this package's values.
func stdlib(t *testing.T, doc []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var fix func(v any) any
	fix = func(v any) any {
		switch x := v.(type) {
		case json.Number:
			return number([]byte(x))
		case []any:
			for i := range x {
				x[i] = fix(x[i])
			}
		case map[string]any:
			for k := range x {
				x[k] = fix(x[k])
			}
		}
		return v
	}
	return fix(v)
}

// FuzzJSON: CheckJSON takes what encoding/json takes, if it is UTF-8; a Raw
// gives the same values and doesn't change its bytes.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		event, `{"a\"b":{"\\":[1,-0,1e5,12345678901234567890,"\u00e9\\"]},"a":null,"a":[]} `, ` [ { } , [ ] , "" , "\\\"" , true,false ]`,
		`"x"`, `1.50`, `{"\u0061":1,"a":2}`, "\"\xff\"", `"\ud83d\ude00\ud83d\u0041\udc00"`, `[0.0000001,0.1,1.10,-0,0.0]`, `{"a":{"b":{"c":{"d":[{}]}}}}`, `{"":1}`, `[1`, `{"a":1,}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		err := CheckJSON(doc, 5000)
		if valid := json.Valid(doc) && utf8.Valid(doc); valid != (err == nil) {
			if !valid || !strings.Contains(err.Error(), "nested") {
				t.Fatalf("%q: %v, but encoding/json says %v", doc, err, valid)
			}
		}
		if err != nil || CheckJSON(doc, 100) != nil {
			return
		}
		before := bytes.Clone(doc)
		fr := newFrame(&Env{Limits: Limits{Steps: 1 << 40, Bytes: 1 << 40}}, 0, 0)
		want := stdlib(t, doc)
		v := NewRaw(doc)
		if r, ok := v.(*Raw); ok && !r.isList() {
			for k, w := range want.(map[string]any) {
				if got := decoded(fr, fr.get(r, k)); !reflect.DeepEqual(got, w) {
					t.Fatalf("%q at %q: %#v, want %#v", doc, k, got, w)
				}
			}
		}
		if got := decoded(fr, v); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %#v, want %#v", doc, got, want)
		}
		if s, ok := v.(string); ok { // text written and read again is the same
			if again := NewRaw(append(appendEscaped([]byte{'"'}, s), '"')); again != s {
				t.Fatalf("%q becomes %q", s, again)
			}
		}
		if !bytes.Equal(doc, before) {
			t.Fatal("the document was changed")
		}
	})
}

// What is charged for a document doesn't depend on who looked at it before.
func TestRawIsChargedTheSameEachTime(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"list":[`)
	for i := range 500 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"id":` + strconv.Itoa(i) + `,"name":"item"}`)
	}
	b.WriteString(`],"x":1}`)
	doc := NewRaw([]byte(b.String()))
	p, problems := Compile(`sum(x.list, .id) + sum(x.list, .id) + len(x) + x.x`, NewScope(Var{Name: "x"}))
	if p == nil {
		t.Fatal(problems)
	}
	spent := func(doc any) (int, int) {
		f := newFrame(&Env{Values: []any{doc}}, p.vars, p.loops)
		if v := p.run(f); v != 499*500+3 {
			t.Fatal(v)
		}
		return f.limits.Steps - f.left, f.limits.Bytes - f.bytes
	}
	steps, mem := spent(doc)
	for _, d := range []any{doc, doc, NewRaw([]byte(b.String()))} {
		if s, m := spent(d); s != steps || m != mem {
			t.Errorf("%d steps, %d bytes; the first time %d and %d", s, m, steps, mem)
		}
	}
}

func TestRawIsSharedByGoroutines(t *testing.T) {
	t.Parallel()
	env := newEnv()
	tm := mustText(t, `${{ trigger.body.items[0].name ?? "" }}${{ trigger.body.open.z }}${{ sum(trigger.body.items, .price) }}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got, err := tm.AppendJSON(nil, env); string(got) != `"a10000006.5"` || err != nil {
					t.Error(string(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
}
