package main

import "syscall"

// attributes put a child in a group of its own, so that Ctrl-C reaches the bench
// alone, and have the kernel kill it when the bench dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
