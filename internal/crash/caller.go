//go:build crashpoints

package crash

import (
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

const (
	module = "github.com/kas-fleet/kas-fleet-manager/"
	// deepest is how far up the stack a use case can be: below it lie gorm, the
	// driver or an SDK.
	deepest = 96
)

// closure is what the compiler appends to the name of a function within a function,
// and receiver what it puts before that of a method.
var (
	closure  = regexp.MustCompile(`(\.func\d+|\.gowrap\d+|-range\d+|\.\d+|-fm|\[\.\.\.\])+$`)
	receiver = regexp.MustCompile(`^(\w+)\..*\.(\w+)$`)
)

// caller names who wanted the call: the nearest two functions of ours that are no
// plumbing, so that the same step of two use cases is two points.
func caller() string {
	pcs := make([]uintptr, deepest)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var found []string
	for len(found) < 2 {
		frame, more := frames.Next()
		if name, ok := strings.CutPrefix(frame.Function, module); ok && !plumbing(name, frame.File) {
			name = receiver.ReplaceAllString(closure.ReplaceAllString(path.Base(name), ""), "$1.$2")
			if len(found) == 0 || found[len(found)-1] != name {
				found = append(found, name)
			}
		}
		if !more {
			break
		}
	}
	if len(found) == 0 {
		return "background"
	}
	slices.Reverse(found)
	return strings.Join(found, " > ")
}

// plumbing is what serves every use case alike.
func plumbing(function, file string) bool {
	inner, ok := strings.CutPrefix(function, "internal/")
	if !ok {
		return true // the command
	}
	for _, pkg := range []string{"app.", "crash.", "db.", "httpx.", "ledger.", "reconcile.", "upstream/"} {
		if strings.HasPrefix(inner, pkg) {
			return true
		}
	}
	// These wrap every step of a kind, and are inlined under changing names.
	switch step := closure.ReplaceAllString(inner, ""); step[strings.LastIndexByte(step, '.')+1:] {
	case "claimed", "reading", "acceptNext", "prepareNext", "begin":
		return true
	}
	if strings.HasPrefix(inner, "kafka.retryStale") {
		return true
	}
	if strings.HasPrefix(inner, "lease.") {
		return strings.HasPrefix(inner, "lease.(*Term).Tx")
	}
	return strings.HasPrefix(path.Base(file), "store")
}
