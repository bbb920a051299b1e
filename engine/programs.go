package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

// A programCache keeps compiled versions. They never change, so that nothing
// in it grows stale; when it is full an arbitrary one makes room.
type programCache struct {
	mu    sync.RWMutex
	limit int
	m     map[programKey]*program.Program
}

type programKey struct {
	graph   GraphID
	version int
}

func (c *programCache) get(k programKey) *program.Program {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.m[k]
}

func (c *programCache) put(k programKey, p *program.Program) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[programKey]*program.Program{}
	}
	if len(c.m) >= c.limit {
		for old := range c.m {
			delete(c.m, old)
			break
		}
	}
	c.m[k] = p
}

// Program implements Worker: it compiles a version with the specs that the
// version was published with.
func (e *Engine) Program(ctx context.Context, id GraphID, number int) (*program.Program, error) {
	k := programKey{id, number}
	if p := e.programs.get(k); p != nil {
		return p, nil
	}
	v, err := e.o.Versions.Version(ctx, id, number)
	if err != nil {
		return nil, err
	}
	doc, problems := graph.Parse(v.Document, graph.JSON, e.o.Limits.Document)
	if doc == nil {
		return nil, fmt.Errorf("version %d doesn't parse: %w", number, problems[0])
	}
	p, problems := program.Build(doc, frozen{v.Specs})
	for _, pr := range problems {
		if !pr.Warning {
			return nil, fmt.Errorf("version %d doesn't compile any more: %w", number, pr)
		}
	}
	e.programs.put(k, p)
	return p, nil
}
