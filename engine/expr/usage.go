package expr

// Usage is what one evaluation has used of its Limits.
type Usage struct {
	// Steps is the work, Bytes the memory, and Copies how many bytes of documents
	// were copied as they are.
	Steps, Bytes, Copies int
}

// Budget is what one evaluation may use: the limits of l, defaults filled in.
func (l Limits) Budget() Usage {
	l = l.withDefaults()
	return Usage{Steps: l.Steps, Bytes: l.Bytes, Copies: l.Copies}
}
