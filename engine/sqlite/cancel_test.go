package sqlite_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/enginetest"
)

// A caller who goes away in the middle of a write ends no other's: the
// connection that writes is one for all.
func TestAWriteThatIsGivenUpLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	defer s.Close()
	at := time.UnixMilli(1790000000000)
	id, err := s.CreateGraph(t.Context(), engine.StoredGraph{Name: "orders", Draft: []byte("{}"), CreatedAt: at, UpdatedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Commit(t.Context(), []engine.Entry{&engine.Begin{Run: enginetest.NewRun(n)}}); err != nil {
				t.Errorf("commit %d: %v", n, err)
				return
			}
		}
	})
	for n := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range n * 20 {
				_ = fmt.Sprint(n)
			}
			cancel()
		}()
		_, _ = s.AddVersion(ctx, engine.Version{Graph: id, Document: []byte("{}"), PublishedAt: at}) // may be given up
		_ = s.SetActive(ctx, id, n%2 == 0)                                                           // likewise
		cancel()
	}
	close(stop)
	wg.Wait()
	if err := s.SetActive(t.Context(), id, true); err != nil {
		t.Errorf("a later write: %v", err)
	}
}
