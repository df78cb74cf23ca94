//go:build !linux

package process

import "syscall"

// attributes put a child in a group of its own, so that Ctrl-C reaches its parent alone.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
