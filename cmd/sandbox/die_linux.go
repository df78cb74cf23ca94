package main

import "syscall"

// attributes put a child in a group of its own, so that Ctrl-C at the terminal
// reaches the sandbox alone, and have the kernel kill it when the sandbox dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
