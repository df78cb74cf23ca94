//go:build !linux

package main

import "syscall"

// attributes put a child in a group of its own, so that Ctrl-C reaches the bench alone.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
