package plugins

// Older gives the digests of the replaced releases that are open.
func (c *Catalogue) Older() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []string
	for _, o := range c.older {
		if o.opened() {
			out = append(out, o.digest)
		}
	}
	return out
}

// Sweep is what is done from time to time.
func (c *Catalogue) Sweep() { c.sweepIfNeeded() }
