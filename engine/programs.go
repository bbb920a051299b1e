package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

// A compiled version is its program, and what its steps and its trigger call.
type compiled struct {
	program *program.Program
	// digests are those of the plugins that it was published with, by connector.
	digests map[string]string
}

// at gives the connector of a `use`, which the version was published with, and
// the member that the use names.
func (c *compiled) at(all Connectors, use string) (conn Connector, member string, err error) {
	name, member, _ := strings.Cut(use, ".")
	conn, err = all.At(name, c.digests[name])
	return conn, member, err
}

// connection is what the requests of a step are sent with, "" for nothing.
func (c *compiled) connection(step string) string {
	if s := c.program.ByID[step]; s != nil {
		return s.Connection
	}
	return ""
}

// A programCache keeps compiled versions. They never change, so that nothing
// in it grows stale; when it is full an arbitrary one makes room.
type programCache struct {
	mu    sync.RWMutex
	limit int
	m     map[programKey]*compiled
}

type programKey struct {
	graph   GraphID
	version int
}

func (c *programCache) get(k programKey) *compiled {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.m[k]
}

func (c *programCache) put(k programKey, p *compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[programKey]*compiled{}
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
	c, err := e.compiled(ctx, id, number)
	if err != nil {
		return nil, err
	}
	return c.program, nil
}

// compiled gives a version out of the cache, or reads and compiles it.
func (e *Engine) compiled(ctx context.Context, id GraphID, number int) (*compiled, error) {
	k := programKey{id, number}
	if c := e.programs.get(k); c != nil {
		return c, nil
	}
	v, err := e.o.Versions.Version(ctx, id, number)
	if err != nil {
		return nil, err
	}
	doc, problems := graph.Parse(v.Document, graph.JSON, e.o.Limits.Document)
	if doc == nil {
		return nil, fmt.Errorf("version %d doesn't parse: %w", number, problems[0])
	}
	p, problems := program.Build(doc, frozen{v.Specs, e.o.Limits.Expr})
	for _, pr := range problems {
		if !pr.Warning {
			return nil, fmt.Errorf("version %d doesn't compile any more: %w", number, pr)
		}
	}
	c := &compiled{program: p, digests: v.Specs.Digests}
	e.programs.put(k, c)
	return c, nil
}
