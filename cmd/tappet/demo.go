package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/examples"
)

// A receiver is the demo's form app: it takes entries and shows them. It is also a
// service to try connections out with.
type receiver struct {
	addr string
	srv  *http.Server
	mu   sync.Mutex
	n    int
	// got hands on what came, as long as somebody looks.
	got chan string
}

func newReceiver(addr string) (*receiver, error) {
	l, err := listen(context.Background(), addr, "--demo-receiver")
	if err != nil {
		return nil, err
	}
	r := &receiver{addr: l.Addr().String(), got: make(chan string, 16)}
	r.srv = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	go func() { _ = r.srv.Serve(l) }() // ends with close
	return r, nil
}

func (r *receiver) close() error { return r.srv.Close() }

// ServeHTTP takes POST /entries, and anything at /echo and /digest.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	switch q.URL.Path {
	case "/echo":
		r.echo(w, q)
		return
	case "/digest":
		r.digest(w, q)
		return
	}
	if q.Method != http.MethodPost || q.URL.Path != "/entries" {
		http.NotFound(w, q)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var shown bytes.Buffer
	if json.Indent(&shown, body, "  ", "  ") != nil {
		shown.Write(body)
	}
	r.mu.Lock()
	r.n++
	n := r.n
	r.mu.Unlock()
	select {
	case r.got <- fmt.Sprintf("%s %s\n  %s", q.Method, q.URL.RequestURI(), shown.String()):
	default:
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"id":"entry-%d","upload_url":"http://%s/entries/entry-%d/files"}`, n, r.addr, n)
}

const (
	demoGraph = "task-completed"
	// exampleReceiver is the address that the example's document names.
	exampleReceiver = "127.0.0.1:7701"
)

// demoEvent is what the demo sends: a finished task of a project app.
const demoEvent = `{"event":"task.completed","task":{"id":42,"title":"Plant the apple tree","tags":["garden","spring"],"due":"2026-11-30","assignee":{"name":"Ada","email":"Ada@Example.com"}}}`

// play sets the demo up as any client would, over REST, sends one event and
// shows what became of it.
func (r *receiver) play(ctx context.Context, url, token, data string, out io.Writer) error {
	if token == "" {
		return fmt.Errorf("the demo needs the admin token, but %s holds another one than %s: delete both, or start without --demo",
			filepath.Join(data, demoTokenFile), filepath.Join(data, tokenFile))
	}
	doc, err := examples.Graphs.ReadFile("graphs/" + demoGraph + ".yaml")
	if err != nil {
		return err
	}
	doc = bytes.ReplaceAll(doc, []byte(exampleReceiver), []byte(r.addr))
	c, err := client.New(url, token, client.Options{})
	if err != nil {
		return err
	}
	if _, err := c.Deploy(ctx, demoGraph, doc, client.YAML); err != nil {
		return fmt.Errorf("set the demo up: %w", err)
	}
	go r.show(ctx, out)
	id, err := sendEvent(ctx, url)
	if err != nil {
		return fmt.Errorf("send the demo's event: %w", err)
	}
	run, err := waitRun(ctx, c, id)
	if err != nil {
		return fmt.Errorf("wait for the demo's run: %w", err)
	}
	fmt.Fprintf(out, "\nThe graph %q is ON. One event was sent to it: run %s has %s.\n", demoGraph, id, run.State)
	for _, s := range run.Steps {
		fmt.Fprintf(out, "  step %-8s %s", s.ID, s.Status)
		for _, a := range s.Attempts {
			for _, x := range a.Exchanges {
				fmt.Fprintf(out, ", %s %s → %d in %.1f ms", x.Method, x.URL, x.Status, float64(x.Total)/1000)
			}
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "\nThe admin token is in %s: %s\n", filepath.Join(data, demoTokenFile), token)
	fmt.Fprintf(out, "\nSend one yourself:\n\n  curl -s %s/hooks/%s -H 'Content-Type: application/json' -d '%s'\n", url, demoGraph, demoEvent)
	fmt.Fprintf(out, "\nAnd look at its runs:\n\n  curl -s '%s/api/v1/graphs/%s/runs?limit=3' -H 'Authorization: Bearer %s'\n\nCtrl-C stops it.\n", url, demoGraph, token)
	return nil
}

// show prints what the receiver gets.
func (r *receiver) show(ctx context.Context, out io.Writer) {
	for {
		select {
		case s := <-r.got:
			fmt.Fprintf(out, "\nThe form app got: %s\n", s)
		case <-ctx.Done():
			return
		}
	}
}

func sendEvent(ctx context.Context, url string) (run string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/hooks/"+demoGraph, bytes.NewReader([]byte(demoEvent)))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}}).Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var got struct {
		Run string `json:"run"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&got); err != nil || res.StatusCode != http.StatusAccepted {
		return "", errors.Join(fmt.Errorf("the webhook answered %s", res.Status), err)
	}
	return got.Run, nil
}

// waitRun asks until a run has ended.
func waitRun(ctx context.Context, c *client.Client, id string) (client.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		run, err := c.Run(ctx, id)
		if err != nil {
			return run, err
		}
		if run.Ended() {
			return run, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return run, ctx.Err()
		}
	}
}
