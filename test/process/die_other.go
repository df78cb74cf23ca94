//go:build !linux

package process

import "syscall"

// Attributes put a child in a group of its own, so that Ctrl-C reaches its parent alone.
func Attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
