// Command bare does W1 in plain net/http code: it is the limit that the engine
// is measured against. It answers 202 and posts from the same goroutine's
// successor, keeps nothing, and forgets what it can't send.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type event struct {
	ID      string `json:"id"`
	Project struct {
		ID string `json:"id"`
	} `json:"project"`
	Task struct {
		Title    string   `json:"title"`
		Tags     []string `json:"tags"`
		Due      *string  `json:"due"`
		Assignee struct {
			Mail string `json:"mail"`
		} `json:"assignee"`
	} `json:"task"`
}

type entry struct {
	Title string   `json:"title"`
	Tags  []string `json:"tags"`
	Due   *string  `json:"due"`
	Mail  string   `json:"mail"`
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on")
	sink := flag.String("sink", "", "URL of the sink")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: time.Minute}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ev event
		if err := json.NewDecoder(r.Body).Decode(&ev); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		go post(client, *sink, &ev)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprintf(w, `{"run":%q}`, ev.ID)
	})}
	log.Fatal(srv.Serve(l))
}

func post(client *http.Client, sink string, ev *event) {
	body, err := json.Marshal(entry{
		Title: "Task " + ev.Task.Title + " is done", Tags: ev.Task.Tags, Due: ev.Task.Due, Mail: strings.ToLower(ev.Task.Assignee.Mail),
	})
	if err != nil {
		log.Print(err)
		return
	}
	req, err := http.NewRequest(http.MethodPost, sink+"/entries?source="+url.QueryEscape(ev.Project.ID), bytes.NewReader(body))
	if err != nil {
		log.Print(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Event", ev.ID)
	res, err := client.Do(req)
	if err != nil {
		log.Print(err)
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}
