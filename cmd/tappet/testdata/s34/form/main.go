// Command form is the form app of the end-to-end test of S34: it takes entries as
// multipart/form-data with files, from who has the API key, and an entry that
// comes again under its Idempotency-Key only once. Its entries outlive it. What
// lies below /test/ is the test's own door.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
)

// A part is one of an entry's form: a text, or a file.
type part struct {
	Name     string `json:"name"`
	Filename string `json:"filename,omitempty"`
	Type     string `json:"type,omitempty"`
	Content  []byte `json:"content"`
}

type entry struct {
	Key   string `json:"key"`
	Parts []part `json:"parts"`
}

// A line of the app's file is a request under a key, and the entry that it made.
type line struct {
	Asked string `json:"asked"`
	Entry *entry `json:"entry"`
}

type app struct {
	key  string
	file *os.File

	mu    sync.Mutex
	lines []line
	// crash: the next entry is stored, and nobody is told.
	crash bool
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on")
	data := flag.String("data", "", "file of the entries")
	key := flag.String("key", "", "the API key")
	flag.Parse()
	a := &app{key: *key}
	if err := a.open(*data); err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /entries", a.post)
	mux.HandleFunc("GET /test/lines", a.list)
	mux.HandleFunc("POST /test/crash", a.arm)
	fmt.Println("listening on http://" + l.Addr().String())
	log.Fatal(http.Serve(l, mux))
}

// open reads what another process has written.
func (a *app) open(path string) (err error) {
	if a.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	lines := bufio.NewScanner(a.file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var x line
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			return err
		}
		a.lines = append(a.lines, x)
	}
	return lines.Err()
}

// note appends a line, durably.
func (a *app) note(x line) error {
	a.lines = append(a.lines, x)
	b, err := json.Marshal(x)
	if err == nil {
		_, err = a.file.Write(append(b, '\n'))
	}
	return errors.Join(err, a.file.Sync())
}

func (a *app) post(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-API-Key") != a.key {
		http.Error(w, "the API key isn't known", http.StatusUnauthorized)
		return
	}
	e := &entry{Key: r.Header.Get("Idempotency-Key")}
	if e.Key == "" {
		http.Error(w, "Idempotency-Key is missing", http.StatusBadRequest)
		return
	}
	form, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	for {
		p, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		var b []byte
		if err == nil {
			b, err = io.ReadAll(p)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		e.Parts = append(e.Parts, part{p.FormName(), p.FileName(), p.Header.Get("Content-Type"), b})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	x := line{Asked: e.Key, Entry: e}
	for _, old := range a.lines {
		if old.Asked == e.Key {
			x.Entry = nil // it is there
		}
	}
	if err := a.note(x); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if a.crash {
		os.Exit(7)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"key": %q}`, e.Key)
}

func (a *app) list(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = json.NewEncoder(w).Encode(a.lines)
}

func (a *app) arm(http.ResponseWriter, *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.crash = true
}
