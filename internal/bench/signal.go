package bench

import "syscall"

// interrupt is what a person's Ctrl-C and a service manager's stop have in
// common.
const interrupt = syscall.SIGTERM
