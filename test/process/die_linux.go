package process

import "syscall"

// Attributes put a child in a group of its own, so that Ctrl-C reaches its parent
// alone, and have the kernel kill it when its parent dies.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
