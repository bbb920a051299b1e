// Command project is the project app of the end-to-end test of S34: an OAuth
// provider that others have built, an API that wants its tokens, and webhooks
// that are signed as Standard Webhooks has it and sent until they are taken.
// What lies below /test/ is the test's own door.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	p := &provider{url: url, revoke: map[string]bool{}}
	hooks := &hooks{deliveries: []*delivery{}}
	mux := http.NewServeMux()
	mux.Handle("/", p)
	mux.HandleFunc("GET /api/tasks/{id}", p.guarded(task))
	mux.HandleFunc("GET /api/files/{id}", p.guarded(content))
	mux.HandleFunc("POST /test/app", p.register)
	mux.HandleFunc("POST /test/revoke", p.revokeAt)
	mux.HandleFunc("GET /test/grants", p.granted)
	mux.HandleFunc("POST /test/hook", hooks.set)
	mux.HandleFunc("POST /test/send", hooks.send)
	mux.HandleFunc("GET /test/deliveries", hooks.list)
	fmt.Println("listening on " + url)
	log.Fatal(http.Serve(l, mux))
}

type file struct{ ID, Name, Type, Content string }

var (
	plan    = &file{"f1", "plan.txt", "text/plain", "Dig a hole.\n"}
	photo   = &file{"f2", "Äpfel – rot.png", "image/png", "\x89PNG\r\n\x1a\n\x00\x01\xff"}
	invoice = &file{"f3", "invoice.pdf", "application/pdf", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"}
)

// tasks are the project's, by id.
var tasks = map[string]struct {
	title         string
	report, photo *file
}{
	"42": {"Plant the apple tree", plan, photo},
	"43": {"Pay for it — 40 €", invoice, nil},
	"44": {"Rest", nil, nil},
}

func task(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	t, ok := tasks[id]
	if !ok {
		http.NotFound(w, r)
		return
	}
	show := func(f *file) any {
		if f == nil {
			return nil
		}
		return map[string]string{"id": f.ID, "name": f.Name}
	}
	reply(w, map[string]any{
		"id": id, "title": t.title, "completed_at": "2026-11-24T10:00:00Z", "report": show(t.report), "photo": show(t.photo),
		"assignee": map[string]string{"name": "Ada", "email": "Ada@Example.com"},
	})
}

func content(w http.ResponseWriter, r *http.Request) {
	for _, f := range []*file{plan, photo, invoice} {
		if f.ID == r.PathValue("id") {
			w.Header().Set("Content-Type", f.Type)
			w.Header().Set("Content-Disposition", "attachment; filename*=UTF-8''"+escape(f.Name))
			_, _ = w.Write([]byte(f.Content))
			return
		}
	}
	http.NotFound(w, r)
}

// escape percent-encodes all but letters and dots (RFC 8187).
func escape(name string) (out string) {
	for _, c := range []byte(name) {
		if 'a' <= c && c <= 'z' || c == '.' {
			out += string(rune(c))
		} else {
			out += fmt.Sprintf("%%%02X", c)
		}
	}
	return out
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// read reads what the test sends.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}
