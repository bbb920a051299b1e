package local

// WaitServing returns when Serve has begun.
func (r *Runner) WaitServing() { <-r.serving }
