package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/tappet-dev/tappet/engine/expr"
)

// maxScopes is how many scopes are kept: an editor asks for the same again and
// again.
const maxScopes = 16

// A scopeCache keeps the scopes of places in drafts, since finding one compiles
// the whole draft. It is safe for concurrent use.
type scopeCache struct {
	mu sync.Mutex
	// age is one more each time that connectors have changed.
	age int
	// kept is in the order of use, the last one last.
	kept []keptScope
}

type keptScope struct {
	key   scopeKey
	scope *expr.Scope
}

// scopeKey is a digest of all that decides a scope but the connectors.
type scopeKey [sha256.Size]byte

func newScopeKey(parts ...[]byte) scopeKey {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p)))) // a hash takes all
		_, _ = h.Write(p)
	}
	return scopeKey(h.Sum(nil))
}

// get gives the scope of a key, nil when it isn't kept, and the age for put.
func (c *scopeCache) get(k scopeKey) (*expr.Scope, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.kept, func(x keptScope) bool { return x.key == k })
	if i < 0 {
		return nil, c.age
	}
	found := c.kept[i]
	c.kept = append(slices.Delete(c.kept, i, i+1), found)
	return found.scope, c.age
}

// put keeps a scope, unless connectors have changed since its get.
func (c *scopeCache) put(k scopeKey, s *expr.Scope, age int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age != c.age {
		return
	}
	if len(c.kept) >= maxScopes {
		c.kept = slices.Delete(c.kept, 0, 1)
	}
	c.kept = append(c.kept, keptScope{k, s})
}

// forget drops all: connectors have changed.
func (c *scopeCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age++
	c.kept = nil
}
