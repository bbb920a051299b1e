package engine

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// offGrace is how long after a graph was turned OFF its senders are told to
// come again: one that is turned ON again, or replaced, misses none of theirs.
const offGrace = time.Minute

// closings are the routes of graphs that were turned OFF a moment ago. Its zero
// value is ready.
type closings struct {
	mu sync.Mutex
	m  map[GraphID]closing
}

type closing struct {
	route *route
	table routeTable
	until time.Time
}

func (c *closings) add(r *route, now time.Time) {
	x := closing{route: r, until: now.Add(offGrace)}
	x.table.literal = map[string][]*route{}
	x.table.add(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[GraphID]closing{}
	}
	c.m[r.graph] = x
}

// check gives an error of kind Unavailable, and the route, for a request of one of
// these routes, which no route takes now.
func (c *closings) check(op, path, method string, now time.Time) (*route, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for g, x := range c.m {
		if !now.Before(x.until) {
			delete(c.m, g)
		} else if r, others := x.table.find(strings.Trim(path, "/"), method); r != nil || len(others) > 0 {
			return x.route, &Error{Kind: Unavailable, Op: op, RetryAfter: 5 * time.Second, Err: fmt.Errorf("the graph %q was turned OFF a moment ago", x.route.name)}
		}
	}
	return nil, nil
}
