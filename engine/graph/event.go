package graph

// CheckEvent tells every violation of a JSON Schema by a JSON document, such as
// an event that is to start a run. The document must be within lim, whose
// Bytes and Depth count.
func CheckEvent(schema, event []byte, lim Limits) []Problem {
	lim = lim.orDefaults()
	p := &problems{max: lim.Problems}
	v := read(event, JSON, lim, p)
	if v == nil || len(p.list) > 0 {
		return sortProblems(p.list)
	}
	return CheckSchema(schema, v, "")
}

// CheckJSON is Check of a JSON document within lim, whose Bytes and Depth count.
func (c *Checker) CheckJSON(doc []byte, pointer string, lim Limits) []Problem {
	lim = lim.orDefaults()
	p := &problems{max: lim.Problems}
	v := read(doc, JSON, lim, p)
	if v == nil || len(p.list) > 0 {
		return sortProblems(p.list)
	}
	return c.Check(v, pointer, nil)
}
