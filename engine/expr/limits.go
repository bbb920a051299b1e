package expr

// Limits bound one source and one evaluation. A zero field means its default.
// What exceeds one is told with the name of its setting: limits.expr_source for
// Source, and so on.
type Limits struct {
	// Source is the longest expression, in bytes: 16 KiB.
	Source int
	// Brackets is how deep brackets may nest: 64. It is counted on tokens,
	// before the parser runs.
	Brackets int
	// Unary is the number of unary operators of one source: 200.
	Unary int
	// Branches is the number of ternaries, ifs, lets and powers of one source,
	// each of which the parser recurses into: 100.
	Branches int
	// Depth is that of the syntax tree: 256.
	Depth int
	// Nodes is the number of nodes that the parser may make: 4,096.
	Nodes int
	// Visits is how often a node may be visited: 8,192. The parser shares
	// nodes, so the tree can be exponential in the nodes.
	Visits int
	// Regexp is the size of a regular expression, in instructions: 2,000.
	Regexp int
	// Steps is the work of one evaluation: 1,000,000.
	Steps int
	// Bytes is the memory of one evaluation, its output included: 8 MiB.
	Bytes int
	// Copies is how many bytes of undecoded documents one evaluation may copy
	// as they are, which Bytes doesn't count: 64 MiB.
	Copies int
	// Key is the longest computed key of an object, in bytes: 1 KiB.
	Key int
	// Digits is the longest number that can be computed with: 64 digits.
	Digits int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Source:   orDefault(l.Source, 16<<10),
		Brackets: orDefault(l.Brackets, 64),
		Unary:    orDefault(l.Unary, 200),
		Branches: orDefault(l.Branches, 100),
		Depth:    orDefault(l.Depth, 256),
		Nodes:    orDefault(l.Nodes, 4096),
		Visits:   orDefault(l.Visits, 8192),
		Regexp:   orDefault(l.Regexp, 2000),
		Steps:    orDefault(l.Steps, 1_000_000),
		Bytes:    orDefault(l.Bytes, 8<<20),
		Copies:   orDefault(l.Copies, 64<<20),
		Key:      orDefault(l.Key, 1<<10),
		Digits:   orDefault(l.Digits, 64),
	}
}

func orDefault(v, def int) int {
	if v <= 0 {
		return def
	}
	return v
}

// maxValueDepth is how deep a value may nest that is compared, flattened or
// written out.
const maxValueDepth = 200

// maxProblems is how many problems one source reports.
const maxProblems = 20
