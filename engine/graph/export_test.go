package graph

// Tree reads a source as the tree that Parse decodes.
func Tree(src []byte, f Format) *Value {
	return read(src, f, Limits{}.orDefaults(), &problems{max: 100})
}
