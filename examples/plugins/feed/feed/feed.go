// Package feed is a connector that tells of new items of RSS 2.0 and Atom
// feeds.
//
// It isn't a feed reader: it keeps nothing but the feed's validators in its
// cursor, and leaves it to the engine to remember items by their keys. Its one
// rule: an item's key never depends on when it was fetched.
package feed

import (
	"context"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// maxBody is the most bytes of a feed.
const maxBody = 8 << 20

// Config is what the trigger is given.
type Config struct {
	URL string `json:"url" title:"Feed address" description:"The address of an RSS 2.0 or Atom feed." format:"uri"`
}

// Item is the event: one item of a feed.
type Item struct {
	ID    string `json:"id" title:"Identifier" description:"The item's guid or id; without one, its link."`
	Title string `json:"title" title:"Title" description:"Plain text."`
	Link  string `json:"link" title:"Link"`
	// Published is when the item was published, else when it was updated.
	Published  *time.Time `json:"published" title:"Published" description:"Left out if the feed doesn't say or can't be understood."`
	Summary    string     `json:"summary" title:"Summary" description:"As the feed gives it, often HTML: the full content, else the description."`
	Author     string     `json:"author" title:"Author"`
	Categories []string   `json:"categories" title:"Categories"`
}

// Connector gives the connector.
func Connector() sdk.Connector {
	newItem := sdk.Poll("new_item", "A new item appears", newItems)
	newItem.Description = "Starts a run for each item that the feed did not have before."
	newItem.Every = sdk.Duration(15 * time.Minute)
	return sdk.Connector{
		Name: "feed", Title: "RSS and Atom", Version: "1.0.0",
		Description: "Follows news feeds.",
		Needs:       sdk.Needs{HTTP: []string{"{url}"}},
		Triggers:    []sdk.Trigger{newItem},
	}
}

// validators are what the cursor holds, so that an unchanged feed is not sent
// again (RFC 9110, 13.1).
type validators struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

func newItems(ctx context.Context, h sdk.Host, cfg Config, cursor sdk.Cursor) (sdk.Batch[Item], error) {
	var batch sdk.Batch[Item]
	var seen validators
	if cursor != "" {
		if err := json.Unmarshal([]byte(cursor), &seen); err != nil {
			h.Log(ctx, sdk.Warn, "the cursor is not understood; the feed is read in full", "error", err)
			seen = validators{}
		}
	}
	req := &sdk.Request{Method: "GET", URL: cfg.URL, Header: sdk.Header{
		{Name: "Accept", Value: "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8"},
	}}
	if seen.ETag != "" {
		req.Header.Add("If-None-Match", seen.ETag)
	}
	if seen.LastModified != "" {
		req.Header.Add("If-Modified-Since", seen.LastModified)
	}
	resp, err := h.HTTP(ctx, req)
	if err != nil {
		return batch, err
	}
	defer resp.Body.Close()
	if resp.Status == 304 {
		batch.Cursor = cursor
		return batch, nil
	}
	if resp.Status != 200 {
		return batch, refused(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return batch, err
	}
	if len(body) > maxBody {
		return batch, sdk.Errorf(sdk.TooLarge, "the feed has more than %d bytes", maxBody)
	}
	items, err := parse(body)
	if err != nil {
		return batch, err
	}
	for _, it := range items {
		batch.Add(it.ID, it)
	}
	batch.Cursor, err = remember(resp.Header)
	return batch, err
}

// remember makes the cursor of a response; empty if it has no validators.
func remember(h sdk.Header) (sdk.Cursor, error) {
	v := validators{ETag: h.Get("ETag"), LastModified: h.Get("Last-Modified")}
	if v == (validators{}) {
		return "", nil
	}
	b, err := json.Marshal(v)
	return sdk.Cursor(b), err
}

// refused gives a status its kind.
func refused(r *sdk.Response) error {
	kind := sdk.Failed
	switch {
	case r.Status == 401:
		kind = sdk.Unauthorized
	case r.Status == 403:
		kind = sdk.Denied
	case r.Status == 404 || r.Status == 410:
		kind = sdk.NotFound
	case r.Status == 429:
		kind = sdk.RateLimited
	case r.Status >= 500:
		kind = sdk.Unavailable
	}
	e := sdk.Errorf(kind, "the feed answered with status %d", r.Status)
	if s, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(min(s, 24*60*60)) * time.Second
	}
	return e
}
