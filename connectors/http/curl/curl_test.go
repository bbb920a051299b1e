package curl_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/connectors/http/curl"
	"github.com/tappet-dev/tappet/sdk"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command  string
		use      string
		with     string
		timeout  string
		warnings []string
	}{
		{command: "curl https://x.example.com", use: "http.get", with: `{"url":"https://x.example.com"}`},
		{command: "\n# list them\n$ curl x.example.com/a?b", use: "http.get", with: `{"url":"http://x.example.com/a?b"}`},
		{command: "/usr/bin/curl -sSfL -m 2.5 https://x", use: "http.get", with: `{"url":"https://x"}`, timeout: "2.5s"},
		{
			command: `curl -X POST https://x -H 'Content-Type: application/json' -H 'X-A: b' -d '{"a":1.0,"b":"${{ c }}"}'`,
			use:     "http.post", with: `{"url":"https://x","headers":{"X-A":"b"},"body":{"a":1.0,"b":"$${{ c }}"}}`,
		},
		{command: "curl -L https://x --max-redirs 3", use: "http.get", with: `{"url":"https://x","redirects":3}`},
		{
			command: "curl -X DELETE -H 'Content-Type: multipart/mixed; boundary=x' https://x", use: "http.custom",
			with: `{"method":"DELETE","url":"https://x"}`, warnings: []string{"there is no body"},
		},
		{command: "curl --follow https://x", use: "http.get", with: `{"url":"https://x"}`},
		{command: "curl --no-location -X DELETE https://x", use: "http.custom", with: `{"method":"DELETE","url":"https://x","redirects":0}`},
		{command: "curl --no-location -L https://x", use: "http.get", with: `{"url":"https://x"}`},
		{command: "curl --max-redirs -1 https://x", use: "http.get", with: `{"url":"https://x"}`, warnings: []string{"at most 10 redirects"}},
		{command: "curl --max-redirs 50 https://x", use: "http.get", with: `{"url":"https://x"}`, warnings: []string{"at most 10 redirects"}},
		{command: "curl -d a=1 -d b=c+d https://x", use: "http.post", with: `{"url":"https://x","headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":{"a":"1","b":"c d"}}`},
		{
			command: `curl https://x -H 'Authorization: Bearer 12345'`, use: "http.get",
			with:     `{"url":"https://x","headers":{"Authorization":"${{ secret(\"authorization\") }}"}}`,
			warnings: []string{"Bearer included, as the secret authorization, in the environment variable TAPPET_SECRET_AUTHORIZATION"},
		},
		{
			command: `curl -u ada:love https://x`, use: "http.get",
			with:     `{"url":"https://x","headers":{"Authorization":"${{ secret(\"authorization\") }}"}}`,
			warnings: []string{"the word Basic, a space and the base64 of user:password"},
		},
		{
			command: `curl https://x/$ID -H "X-Team: $TEAM_KEY"`, use: "http.get",
			with:     `{"url":"https://x/$ID","headers":{"X-Team":"${{ secret(\"team_key\") }}"}}`,
			warnings: []string{"shell variables", "TAPPET_SECRET_TEAM_KEY"},
		},
		{
			command: `curl -F 'a=@x.txt' -F b=2 https://x`, use: "http.custom",
			with:     `{"method":"POST","url":"https://x","body_type":"form-data","form_data":{"a":"${{ trigger.files[0] }}","b":"2"}}`,
			warnings: []string{"trigger.files[0]"},
		},
		{
			command: `curl -k -x http://p:1 --retry 3 https://x | jq .`, use: "http.get", with: `{"url":"https://x"}`,
			warnings: []string{"| jq .", "-k: certificates", "-x: it is left out", "--retry: write retry"},
		},
		{command: `curl https://x?a=1&b=2`, use: "http.get", with: `{"url":"https://x?a=1"}`, warnings: []string{"Is a quote around the URL missing?"}},
		{command: `curl https://x --next https://y`, use: "http.get", with: `{"url":"https://x"}`, warnings: []string{"only the first request"}},
		{command: `curl -X POST -d '{"a":1}' https://x`, use: "http.post", with: `{"url":"https://x","headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":"{\"a\":1}"}`, warnings: []string{"look like JSON"}},
		{command: `curl 'https://x/a b/ä' -H 'Accept-Encoding: gzip'`, use: "http.get", with: `{"url":"https://x/a%20b/%C3%A4"}`, warnings: []string{"Accept-Encoding"}},
	} {
		step, problems := curl.Parse(c.command)
		if len(problems) > 0 {
			t.Errorf("%s: %v", c.command, problems)
			continue
		}
		if d := cmp.Diff([]string{c.use, c.with, c.timeout}, []string{step.Use, string(step.With), step.Timeout}); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.command, d)
		}
		all := strings.Join(step.Warnings, "\n")
		if len(step.Warnings) != len(c.warnings) {
			t.Errorf("%s: warnings %q", c.command, step.Warnings)
		}
		for _, w := range c.warnings {
			if !strings.Contains(all, w) {
				t.Errorf("%s: no warning %q in %q", c.command, w, step.Warnings)
			}
		}
		for _, secret := range []string{"12345", "ada:love"} {
			if strings.Contains(all+string(step.With), secret) {
				t.Errorf("%s: the credential is repeated in %s %q", c.command, step.With, step.Warnings)
			}
		}
		if _, err := compile(step); err != nil {
			t.Errorf("%s: the step isn't valid: %v", c.command, err)
		}
	}
}

func TestBadCommands(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"":                                             "must begin with curl",
		"wget https://x":                               "must begin with curl",
		"FOO=1 curl https://x":                         "must begin with curl",
		"curl":                                         "there is no URL",
		"curl -X":                                      "-X needs an argument",
		"curl https://x --data":                        "--data needs an argument",
		"curl https://x --frobnicate":                  `"--frobnicate" isn't known`,
		"curl https://x -y":                            "-y isn't known",
		"curl https://x https://y":                     "another URL",
		"curl 'https://x":                              "single quote isn't closed",
		`curl "https://x`:                              "double quote isn't closed",
		"curl $'https://x":                             "$' isn't closed",
		"curl $(cat url)":                              "output of another command",
		"curl `cat url`":                               "output of another command",
		"curl https://x/${A:-1}":                       "only ${NAME}",
		"curl ftp://x/a":                               "no URL of http or https",
		"curl http:///a":                               "has no host",
		"curl https://x -H 'no colon'":                 "Name: value",
		"curl https://x -H 'a b: c'":                   "no header name",
		"curl https://x -H $'A: b\\nC: d'":             "more than one line",
		"curl https://x -X 'GET /'":                    "no method",
		"curl https://x -X GET -d a":                   "sends no body with GET",
		"curl https://x -d a -F b=c":                   "several bodies",
		"curl https://x -d a -d @b":                    "a body of a file and other data",
		"curl https://x -F a":                          "-F wants name=value",
		"curl https://x -F 'a=<b'":                     "the text of a file isn't read",
		"curl https://x --max-redirs few":              "a number of redirects",
		"curl https://x -m soon":                       "a number of seconds",
		"curl https://x -d $'a\\x00b'":                 "NUL",
		"curl https://x -d $'\\xff'":                   "isn't UTF-8",
		"curl https://x -d a\x00b":                     "NUL",
		"curl https://x --data-urlencode @":            "a file can't be encoded",
		"curl " + strings.Repeat("a", curl.MaxCommand): "at most",
	} {
		step, problems := curl.Parse(command)
		text := ""
		for _, p := range problems {
			text += p.Error() + "\n"
			if p.Offset < 0 || p.Offset > len(command) {
				t.Errorf("%.60q: offset %d", command, p.Offset)
			}
		}
		if !strings.Contains(text, want) || step.Use != "" {
			t.Errorf("%.60q: %+v, problems %q; %q is wanted", command, step, text, want)
		}
	}
	_, problems := curl.Parse("curl -y https://x --frobnicate")
	if len(problems) != 2 {
		t.Errorf("not all problems are told: %v", problems)
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r     curl.Request
		want  string
		notes int
	}{
		{r: curl.Request{Request: &sdk.Request{URL: "https://x"}}, want: "curl -L https://x"},
		{r: curl.Request{Request: &sdk.Request{Method: "HEAD", URL: "https://x", MaxRedirects: 3}}, want: "curl -L --max-redirs 3 --head https://x"},
		{r: curl.Request{Request: &sdk.Request{URL: "https://x", MaxRedirects: -1}}, want: "curl --no-location https://x"},
		{r: curl.Request{Request: &sdk.Request{Method: "DELETE", URL: "https://x"}}, want: "curl -X DELETE https://x"},
		{
			r: curl.Request{Request: &sdk.Request{
				Method: "POST", URL: "https://x", MaxRedirects: 2, Body: strings.NewReader("a"), Header: sdk.Header{{Name: "Content-Type", Value: "a/b"}},
			}},
			want: "curl -L --max-redirs 2 https://x \\\n  -H 'Content-Type: a/b' \\\n  --data-raw a",
		},
		{
			r: curl.Request{
				Request: &sdk.Request{URL: "https://x", Header: sdk.Header{{Name: "X-Acme", Value: "S1"}}}, Secrets: map[string]string{"S1": "forms"},
			},
			want: "curl https://x \\\n  -H 'X-Acme: '\"$TAPPET_SECRET_FORMS\"", notes: 1,
		},
		{
			r: curl.Request{
				Request: &sdk.Request{Method: "POST", URL: "https://x?key=S1", Header: sdk.Header{{Name: "Authorization", Value: "S1"}, {Name: "X", Value: ""}}, Body: strings.NewReader("it's")},
				Secrets: map[string]string{"S1": "forms"},
			},
			want: `curl -X POST 'https://x?key='"$TAPPET_SECRET_FORMS" \
  -H 'Authorization: '"$TAPPET_SECRET_FORMS" \
  -H 'X;' \
  -H Content-Type: \
  --data-raw 'it'\''s'`,
			notes: 1,
		},
		{
			r: curl.Request{
				Request: &sdk.Request{Method: "PUT", URL: "https://x", Body: strings.NewReader(""), Header: sdk.Header{{Name: "Content-Type", Value: "a/b"}}},
				File:    func() string { return `../x/pl"an.txt` },
			},
			want: "curl -X PUT https://x \\\n  -H 'Content-Type: a/b' \\\n  --data-binary @pl_an.txt",
		},
		{
			r:     curl.Request{Request: &sdk.Request{URL: "https://x", Header: sdk.Header{{Name: "cookie", Value: "id=7"}}}},
			want:  "curl -L https://x \\\n  -H 'cookie: '\"$TAPPET_SECRET_COOKIE\"",
			notes: 1,
		},
		{
			r: curl.Request{Request: &sdk.Request{
				Method: "PUT", URL: "https://x", Body: strings.NewReader("\xff"), Header: sdk.Header{{Name: "Content-Type", Value: "a/b"}},
			}},
			want: "curl -X PUT https://x \\\n  -H 'Content-Type: a/b' \\\n  --data-binary @body", notes: 1,
		},
	} {
		got, notes, err := curl.Print(c.r)
		if d := cmp.Diff(c.want, got); d != "" || err != nil || len(notes) != c.notes {
			t.Errorf("%v %q\n%s", err, notes, d)
		}
	}
}

// echoed is what a shell makes of a word.
func echoed(tb testing.TB, word string) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "sh", "-c", "printf %s "+word).Output()
	if err != nil {
		tb.Fatalf("%s: %v", word, err)
	}
	return string(out)
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "it's", `$HOME "x" \`, "`id`", "a\nb", "ä*?[", "~", "-n", "!!", "'", "''", "#", "a;b&c|d<e>(f){g}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			t.Skip()
		}
		if got := echoed(t, curl.Quote(s)); got != s {
			t.Errorf("%q is %q to a shell", s, got)
		}
	})
}

// FuzzParse wants that what is made of a command is a valid step, or problems.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"curl https://x", `curl -XPOST https://x -H 'A: b' -d '{"a":1}' -H "Content-Type: application/json"`,
		`curl -F 'a=@b;type=c;filename="d"' -F x=y https://x`, `curl -u a:b -G -d c=d "https://x/$Y?${Z}"`, "curl $'\\x41\\u00e4\\'' https://x \\\n -I",
		`curl --json '{"${{ x }}":"\u0024{{ y }}"}' https://x`, "curl -m 1 -T - https://x -A '${{' -b a=b", "curl -d 'a=%41&b' x", "curl 01812%000",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, command string) {
		step, problems := curl.Parse(command)
		if len(problems) > 0 {
			return
		}
		if !json.Valid(step.With) {
			t.Fatalf("%q: %s", command, step.With)
		}
		if _, err := compile(step); err != nil {
			t.Fatalf("%q: %v", command, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	command := `curl -X POST https://x.example.com -H 'Content-Type: application/json' -d '{"a":"` + strings.Repeat("b", 1000) + `"}'`
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := curl.Parse(command); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
