package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// S31: a list of files under a key without [] is a warning when the graph is
// saved, and one on the attempt when the first file alone was sent.
func TestS31_OnlyTheFirstFileIsAWarning(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	doc := func(key string) string {
		return fmt.Sprintf(`name: upload
trigger: {use: webhook, with: {path: upload}}
steps:
  - id: send
    use: http.custom
    with: {method: POST, url: %s, form_data: {%q: "${{ trigger.files }}"}}
`, sink.URL, key)
	}
	for key, warned := range map[string]bool{"photo": true, "photo[]": false} {
		v, err := s.Validate(t.Context(), []byte(doc(key)), client.YAML)
		if err != nil || !v.Valid || (len(v.Problems) == 1) != warned ||
			warned && (v.Problems[0].Code != "one_file" || !v.Problems[0].Warning || v.Problems[0].Pointer != "/steps/0/with/form_data/photo") {
			t.Errorf("%s: %+v, %v", key, v, err)
		}
		s.deploy(t, "upload", doc(key))
		const form = "--x\r\nContent-Disposition: form-data; name=a; filename=a.txt\r\n\r\nfirst\r\n" +
			"--x\r\nContent-Disposition: form-data; name=b; filename=b.txt\r\n\r\nsecond\r\n--x--\r\n"
		res, b := s.send(t, http.MethodPost, "/hooks/upload", "", []byte(form), "multipart/form-data; boundary=x")
		if res.StatusCode != http.StatusAccepted {
			t.Fatalf("%s: %s", res.Status, b)
		}
		r := s.ended(t, runID(t, b))
		if r.State != "succeeded" || len(r.Steps[0].Attempts) != 1 {
			t.Fatalf("%s: %s, %+v", key, r.State, r.Error)
		}
		got := r.Steps[0].Attempts[0].Warnings
		if (len(got) == 1) != warned || warned && !strings.Contains(got[0], "left_out=1") {
			t.Errorf("%s: the attempt warns %q", key, got)
		}
	}
}
