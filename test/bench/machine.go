package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine tells how many processors there are and how busy others keep them.
func machine() string {
	load := "unknown"
	if raw, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(raw), " ")
	}
	return fmt.Sprintf("%d processors shared by load, server and database, load average %s at the start, %s/%s, %s",
		runtime.NumCPU(), load, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
