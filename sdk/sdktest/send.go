//go:build !wasip1

package sdktest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// recordTime bounds one request while recording.
const recordTime = 30 * time.Second

// sendHTTP sends a request for real.
func sendHTTP(r *sdk.Request, body []byte) Reply {
	ctx, cancel := context.WithTimeout(context.Background(), recordTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(body))
	if err != nil {
		return Reply{Err: sdk.Errorf(sdk.Invalid, "record: %w", err)}
	}
	for _, h := range r.Header {
		q.Header.Add(h.Name, h.Value)
	}
	c := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := c.Do(q)
	if err != nil {
		return Reply{Err: sdk.Errorf(sdk.Unavailable, "record: %w", err)}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err == nil && len(b) > MaxBody {
		err = errors.New("the answer has more than 32 MiB")
	}
	if err != nil {
		return Reply{Err: sdk.Errorf(sdk.Unavailable, "record: %w", err)}
	}
	out := Reply{Status: res.StatusCode, Body: b}
	for _, name := range slices.Sorted(maps.Keys(res.Header)) {
		for _, v := range res.Header[name] {
			out.Header = append(out.Header, sdk.Pair{Name: name, Value: v})
		}
	}
	return out
}
