package engine

import (
	"context"
	"errors"
	"time"
)

const (
	// tidyEvery is how often what is over is removed.
	tidyEvery = time.Minute
	// tidyBatch is how much of it goes at a time, so that no event waits long.
	tidyBatch = 500
)

// tidy removes what is over from time to time, until ctx ends.
func (e *Engine) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		var err error
		if e.o.Keys != nil {
			err = e.forgetKeys(ctx)
		}
		if e.o.Inbox != nil {
			err = errors.Join(err, e.forgetArrivals(ctx))
		}
		if err != nil && ctx.Err() == nil {
			e.o.Log.Warn("events and keys whose time is over can't be removed; it is tried again", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (e *Engine) forgetKeys(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := e.o.Keys.ForgetKeys(ctx, e.now(), tidyBatch)
		if err != nil || n < tidyBatch {
			return err
		}
	}
	return nil
}
