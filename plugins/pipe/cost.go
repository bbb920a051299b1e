package pipe

import "time"

// A Cost is what a plugin has used since it was loaded.
type Cost struct {
	// CPU is the processor time: of a module, the time in which its code ran; of a
	// program, that of its processes.
	CPU time.Duration
	// Memory is what its instances or its process hold now, in bytes; 0 where the
	// system doesn't tell.
	Memory int64
	// Restarts is how often an instance or a process that was lost was replaced.
	Restarts uint64
}

// A Coster tells what a plugin costs. It is safe for concurrent use.
type Coster interface {
	Cost() Cost
}
