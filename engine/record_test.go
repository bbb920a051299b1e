package engine_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

var update = flag.Bool("update", false, "write the golden files anew")

var recordTime = time.Date(2026, 11, 24, 10, 0, 0, 125e6, time.UTC)

// records holds one record of each kind.
func records() map[string]engine.Record {
	exchange := engine.Exchange{
		Method: "POST", URL: "https://forms.example.com/entries?a=\"b\"&c=é", Status: 201, Started: recordTime,
		Waited: 8, WaitReason: "rate", DNS: 1, Connect: 2, TLS: 3, FirstByte: 4, Total: 5, Reused: true, Sent: 6, Received: 7,
		Redirects: []string{"https://a.example", "https://b.example"}, Error: "broke off",
	}
	return map[string]engine.Record{
		"settled": engine.NewSettled("entry#2", recordTime, recordTime.Add(-time.Second), 0xab, engine.Outcome{
			Output: json.RawMessage(`{"status":201,"body":{"n":12345678901234567890}}`), Exchanges: []engine.Exchange{exchange, {Method: "GET", URL: "http://x", Started: recordTime}},
		}),
		"warned": engine.NewSettled("!failure/notice", recordTime, recordTime, 0xab, engine.Outcome{
			Output: json.RawMessage(`true`), Warnings: []string{"only the first is sent left_out=2", "a \"second\""},
		}),
		"failed": engine.NewSettled("entry", recordTime, recordTime, 0, engine.Outcome{Err: &machine.Error{
			Kind: "unavailable", Message: "it is down", Step: "entry", Retryable: true, RetryAfter: 1500, Data: json.RawMessage(`{"status":503}`),
		}}),
		"fired":    {Kind: engine.RecordFired, Path: "entry#2!again", At: recordTime},
		"cancel":   {Kind: engine.RecordCancel, At: recordTime},
		"started":  {Kind: engine.RecordStarted, Path: "entry", At: recordTime},
		"in_doubt": {Kind: engine.RecordInDoubt, Path: "entry?1", At: recordTime},
	}
}

// D5: what is stored today is read by every later version.
func TestRecordsGolden(t *testing.T) {
	t.Parallel()
	for name, r := range records() {
		got := fmt.Sprintf("kind %d\npath %s\nat %d\n%s\n", r.Kind, r.Path, r.At.UnixMilli(), r.Body)
		path := filepath.Join("testdata", "records", name+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got, -update writes it):\n%s", name, diff)
		}
		if _, _, err := r.Fact(); err != nil {
			t.Errorf("%s can't be read: %v", name, err)
		}
	}
}

func TestSettledReadsBack(t *testing.T) {
	t.Parallel()
	r := records()["settled"]
	s, err := r.Settled()
	if err != nil {
		t.Fatal(err)
	}
	var std []json.RawMessage
	for _, x := range s.Exchanges {
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		std = append(std, b)
	}
	var body struct {
		Exchanges []json.RawMessage `json:"exchanges"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatal(err)
	}
	// Written by hand, they are what encoding/json makes of them.
	if diff := cmp.Diff(std, body.Exchanges); diff != "" {
		t.Errorf("exchanges (-encoding/json +ours):\n%s", diff)
	}
	w, err := records()["warned"].Settled()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"only the first is sent left_out=2", `a "second"`}, w.Warnings); diff != "" || s.Warnings != nil {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	f, ok, err := r.Fact()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	want := machine.Fact{Key: "entry#2", At: machine.Millis(recordTime.UnixMilli()), Of: &machine.Settled{
		Output: json.RawMessage(`{"status":201,"body":{"n":12345678901234567890}}`), Input: 0xab,
	}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("fact (-want +got):\n%s", diff)
	}
}

func TestRecordsOfAnotherFormatAreRefused(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]engine.Record{
		"kind":   {Kind: 99, Path: "a"},
		"format": {Kind: engine.RecordSettled, Path: "a", Body: []byte(`{"v":2}`)},
		"body":   {Kind: engine.RecordSettled, Path: "a", Body: []byte(`{`)},
		"digest": {Kind: engine.RecordSettled, Path: "a", Body: []byte(`{"v":1,"input":"xyz"}`)},
	} {
		if _, _, err := r.Fact(); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
}

// No bytes in a journal make a reader panic.
func FuzzRecord(f *testing.F) {
	for _, r := range records() {
		f.Add(uint8(r.Kind), string(r.Path), r.Body)
	}
	f.Fuzz(func(_ *testing.T, kind uint8, path string, body []byte) {
		r := engine.Record{Kind: engine.RecordKind(kind), Path: machine.Key(path), Body: body}
		_, _, _ = r.Fact()
	})
}

// Texts are written by hand, as encoding/json would.
func TestAnExchangesTextsSurvive(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "http://x/a?b=c", `"`, `\\`, "<a>&", "\x00\n\x7f", "é\u2028\U0001F600", "\xff"} {
		rec := engine.NewSettled("entry", recordTime, recordTime, 0, engine.Outcome{Exchanges: []engine.Exchange{{URL: text, Error: text}}})
		got, err := rec.Settled()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		want := strings.ToValidUTF8(text, "\uFFFD")
		if x := got.Exchanges[0]; x.URL != want || x.Error != want {
			t.Errorf("%q is read as %q and %q", text, x.URL, x.Error)
		}
	}
}
