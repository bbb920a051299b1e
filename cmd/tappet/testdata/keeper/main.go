// Command keeper is a plugin whose polls count in their state how often they
// were asked.
package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/serve"
)

type found struct {
	// Before is the count that was kept, 0 at first.
	Before int `json:"before"`
	// Large and Key are the kinds with which too large a value and too long a
	// key were refused.
	Large string `json:"large"`
	Key   string `json:"key"`
}

func main() {
	serve.Main(sdk.Connector{
		Name: "keeper", Version: "1.0.0",
		Triggers: []sdk.Trigger{sdk.Poll("one", "Counts", poll), sdk.Poll("two", "Counts too", poll)},
	})
}

func poll(ctx context.Context, h sdk.Host, _ struct{}, _ sdk.Cursor) (b sdk.Batch[found], err error) {
	v, err := h.State(ctx, "count")
	if err != nil {
		return b, err
	}
	f := found{
		Large: string(sdk.KindOf(h.SetState(ctx, "large", make([]byte, sdk.MaxState+1)))),
		Key:   string(sdk.KindOf(h.SetState(ctx, strings.Repeat("k", 1<<10+1), []byte("v")))),
	}
	if v != nil {
		if f.Before, err = strconv.Atoi(string(v)); err != nil {
			return b, err
		}
	}
	b.Add(strconv.FormatUint(rand.Uint64(), 36), f)
	return b, h.SetState(ctx, "count", []byte(strconv.Itoa(f.Before+1)))
}
