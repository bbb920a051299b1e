package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// hooks sends events to the one address that is registered.
type hooks struct {
	mu          sync.Mutex
	url, secret string
	deliveries  []*delivery
}

// A delivery is one event on its way.
type delivery struct {
	Event string `json:"event"`
	// Answers are the status of each attempt; 0: nobody has answered.
	Answers []int `json:"answers"`
	// Last is the last answer's body.
	Last string `json:"last"`
	// Over: it was taken, or given up.
	Over bool `json:"over"`
}

func (h *hooks) set(w http.ResponseWriter, r *http.Request) {
	var to struct{ URL, Secret string }
	if !read(w, r, &to) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.url, h.secret = to.URL, to.Secret
}

func (h *hooks) list(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	reply(w, h.deliveries)
}

// An event says that a task was completed, or something else.
type event struct {
	ID, Type, Task string
	// Secret is signed with in the place of the registered one.
	Secret string
	// Attempts is how often it is sent at most; 0 means 100.
	Attempts int
}

// send begins a delivery.
func (h *hooks) send(w http.ResponseWriter, r *http.Request) {
	var e event
	if !read(w, r, &e) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Secret == "" {
		e.Secret = h.secret
	}
	if e.Attempts == 0 {
		e.Attempts = 100
	}
	d := &delivery{Event: e.ID, Answers: []int{}}
	h.deliveries = append(h.deliveries, d)
	go h.deliver(d, h.url, e)
}

// deliver sends until it is taken: any status but 2xx is none, and after each one
// it waits longer, up to a second.
func (h *hooks) deliver(d *delivery, url string, e event) {
	body, _ := json.Marshal(map[string]any{"type": e.Type, "timestamp": "2026-11-24T10:00:01Z", "data": map[string]string{"id": e.Task}})
	wait := 50 * time.Millisecond
	for range e.Attempts {
		status, answer := post(url, e, body)
		h.mu.Lock()
		d.Answers, d.Last = append(d.Answers, status), answer
		h.mu.Unlock()
		if status/100 == 2 {
			break
		}
		time.Sleep(wait)
		wait = min(2*wait, time.Second)
	}
	h.mu.Lock()
	d.Over = true
	h.mu.Unlock()
}

// post sends an event once: signed with the time of the attempt, under the id of
// the event.
func post(url string, e event, body []byte) (status int, answer string) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(e.Secret, "whsec_"))
	if err != nil {
		return 0, err.Error()
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", e.ID, stamp, body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("webhook-id", e.ID)
	r.Header.Set("webhook-timestamp", stamp)
	r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	res, err := (&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	return res.StatusCode, string(b)
}
