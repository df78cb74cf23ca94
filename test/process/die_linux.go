package process

import "syscall"

// attributes put a child in a group of its own, so that Ctrl-C reaches its parent
// alone, and have the kernel kill it when its parent dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
