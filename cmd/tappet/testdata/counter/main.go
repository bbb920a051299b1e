// Command counter is a plugin whose events count from 1: one that is lost is a
// gap. Its cursor is the last number.
package main

import (
	"context"
	"os"
	"strconv"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/serve"
)

type number struct {
	N int `json:"n"`
}

func main() {
	serve.Main(sdk.Connector{
		Name: "counter", Version: "1.0.0",
		Triggers: []sdk.Trigger{sdk.Stream("stream", "Counts", stream), sdk.Poll("poll", "Counts by the thousand", poll)},
	})
}

func last(c sdk.Cursor) (int, error) {
	if c == "" {
		return 0, nil
	}
	return strconv.Atoi(string(c))
}

// stream emits numbers as fast as they become durable. A key names the process
// too, so that a number which another one emits again is seen.
func stream(ctx context.Context, _ sdk.Host, _ struct{}, c sdk.Cursor, emit sdk.Emit[number]) error {
	n, err := last(c)
	pid := "/" + strconv.Itoa(os.Getpid())
	for err == nil {
		n++
		s := strconv.Itoa(n)
		err = emit(ctx, sdk.Cursor(s), sdk.EventOf[number]{Key: s + pid, Data: number{n}})
	}
	return err
}

// poll gives more events than one commit takes.
func poll(_ context.Context, _ sdk.Host, _ struct{}, c sdk.Cursor) (b sdk.Batch[number], err error) {
	n, err := last(c)
	for range 600 {
		n++
		b.Add(strconv.Itoa(n), number{n})
	}
	b.Cursor = sdk.Cursor(strconv.Itoa(n))
	return b, err
}
