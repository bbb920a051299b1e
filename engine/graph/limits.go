package graph

import "cmp"

// Format is how a document is written.
type Format uint8

// The formats.
const (
	JSON Format = iota
	YAML
)

// String gives "json" or "yaml".
func (f Format) String() string {
	if f == YAML {
		return "yaml"
	}
	return "json"
}

// Limits bound what Parse reads; a zero field means its default.
type Limits struct {
	// Bytes is the size of the source: 1 MiB.
	Bytes int
	// Depth is how deep lists and objects may be nested: 160.
	Depth int
	// Steps is the number of steps, of a graph and so of a run: 1,000.
	Steps int
	// Name is the length of a graph's name: 100.
	Name int
	// ID is the length of a step's id: 64.
	ID int
	// Description is the length of a description in bytes: 10,000.
	Description int
	// Labels is the number of labels: 64. A label's name has at most 64 bytes,
	// its value at most 256.
	Labels int
	// Problems is how many are told at most: 100.
	Problems int
}

const (
	maxLabelName  = 64
	maxLabelValue = 256
	// maxNumber is the length of a number's literal, and maxExponent bounds what
	// stands behind its e: readers that count exactly need time and memory for
	// both.
	maxNumber   = 128
	maxExponent = 400
	// maxUse is the length of a `use`: two names and the dot.
	maxUse = 129
	// maxConnection is the length of a connection's name.
	maxConnection = 64
)

func (l Limits) orDefaults() Limits {
	return Limits{
		Bytes:       cmp.Or(l.Bytes, 1<<20),
		Depth:       cmp.Or(l.Depth, 160),
		Steps:       cmp.Or(l.Steps, 1000),
		Name:        cmp.Or(l.Name, 100),
		ID:          cmp.Or(l.ID, 64),
		Description: cmp.Or(l.Description, 10_000),
		Labels:      cmp.Or(l.Labels, 64),
		Problems:    cmp.Or(l.Problems, 100),
	}
}
