// Command traps is a plugin that does, on demand, what authors must not do.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/serve"
)

type tick struct {
	N int `json:"n"`
}

func main() {
	var kept sdk.Host
	serve.Main(sdk.Connector{
		Name: "traps", Title: "Traps", Version: "0.0.1",
		Needs: sdk.Needs{HTTP: []string{"api.example.com"}, Secrets: []string{"token"}},
		Triggers: []sdk.Trigger{
			sdk.Stream("ticks", "Ticks", ticks),
			sdk.Stream("waits", "Waits for its context alone", waits),
			sdk.Webhook("hook", "Takes a request", hook),
		},
		Actions: []sdk.Action{
			{Name: "echo", Input: json.RawMessage(`{"type":"object"}`), Do: echo},
			sdk.Do("trap", "Does what its input says", func(ctx context.Context, h sdk.Host, in input) (string, error) {
				return trap(ctx, h, &kept, in)
			}),
			sdk.DoKeyed("post", "Sends its text", post),
		},
	})
}

type input struct {
	Do  string `json:"do"`
	URL string `json:"url,omitempty"`
}

func echo(_ context.Context, _ sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
	return sdk.Result{Output: c.Input.JSON()}, nil
}

func ticks(ctx context.Context, _ sdk.Host, _ struct{}, _ sdk.Cursor, emit sdk.Emit[tick]) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			e := sdk.EventOf[tick]{Key: fmt.Sprint(n), Data: tick{n}}
			if err := emit(ctx, sdk.Cursor(e.Key), e); err != nil {
				return err
			}
		}
	}
}

func waits(ctx context.Context, _ sdk.Host, _ struct{}, _ sdk.Cursor, emit sdk.Emit[tick]) error {
	if err := emit(ctx, "", sdk.EventOf[tick]{Key: "begun"}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func hook(_ context.Context, _ sdk.Host, _ struct{}, r sdk.WebhookRequest) (sdk.Receipt[tick], error) {
	out := sdk.Receipt[tick]{Wait: r.Query == "wait", Answer: &sdk.Answer{
		Status: 201, Header: sdk.Header{{Name: "X-Path", Value: r.Path}}, Body: r.Body,
	}}
	if r.Query == "run" { // its caller waits for the run
		out.Wait, out.Answer = true, nil
	}
	out.Add(r.Header.Get("X-Key"), tick{len(r.Body)})
	return out, nil
}

type posting struct {
	URL    string `json:"url"`
	Text   string `json:"text"`
	Repeat int    `json:"repeat" default:"1"`
}

type posted struct {
	Status int `json:"status"`
	Bytes  int `json:"bytes"`
}

// post sends a body of any length and counts the bytes of the answer.
func post(ctx context.Context, h sdk.Host, in posting, key string) (posted, error) {
	body := strings.NewReader(strings.Repeat(in.Text, in.Repeat))
	r, err := h.HTTP(ctx, &sdk.Request{
		Method: "POST", URL: in.URL, Header: sdk.Header{{Name: "Idempotency-Key", Value: key}}, Body: body, Size: body.Size(),
	})
	if err != nil {
		return posted{}, err
	}
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	return posted{r.Status, int(n)}, err
}

func trap(ctx context.Context, h sdk.Host, kept *sdk.Host, in input) (string, error) {
	switch in.Do {
	case "panic":
		panic("boom")
	case "panic elsewhere":
		go func() { panic("boom elsewhere") }()
		time.Sleep(time.Second)
	case "exit":
		fmt.Fprintln(os.Stderr, "about to exit")
		os.Exit(3)
	case "deadlock":
		<-make(chan int)
	case "spin":
		for i := 0; ; i++ {
			if i < 0 {
				return "", nil
			}
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "wait":
		<-ctx.Done()
		return "", ctx.Err()
	case "memory":
		var hold [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			hold = append(hold, b)
			if len(hold) > 1<<12 {
				return "", nil
			}
		}
	case "work":
		var v any
		for range 2000 {
			b, err := json.Marshal(map[string]any{"a": []int{1, 2, 3}, "b": "text", "c": v})
			if err != nil {
				return "", err
			}
			if err := json.Unmarshal(b, &v); err != nil {
				return "", err
			}
			v = len(b)
		}
	case "print":
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc")
		fmt.Println(strings.Repeat("x", 100<<10))
	case "files":
		_, err := os.ReadFile("/etc/passwd")
		return fmt.Sprint(err, os.Environ()), nil
	case "keep host":
		*kept = h
	case "use kept host":
		_, err := (*kept).Secret(ctx, "token")
		return fmt.Sprint(err), nil
	case "fail":
		return "partial", &sdk.Error{Kind: sdk.RateLimited, RetryAfter: 3 * time.Second, Err: fmt.Errorf("slow down")}
	case "secret":
		return h.Secret(ctx, "token")
	case "other secret":
		return h.Secret(ctx, "other")
	case "now":
		return h.Now().Format(time.RFC3339), nil
	case "clock":
		return time.Now().Format(time.RFC3339), nil
	case "log":
		h.Log(ctx, sdk.Warn, "a line", "n", 1, "odd")
	case "get":
		r, err := h.HTTP(ctx, &sdk.Request{URL: in.URL})
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
	return "ok", nil
}
