//go:build crashpoints

package crash

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Environment of a process with crash points.
const (
	// planVariable names a file that says "<kill|stop> <n> <point>". It may come
	// and go while processes run, and several may share it: the one that hits the
	// point for the n-th time since the file came renames it to end in its pid,
	// and suffers.
	planVariable = "CRASH_PLAN"
	// logVariable names a file to which each point is appended when it is first hit.
	logVariable = "CRASH_LOG"
)

// trap knows the points that were hit.
type trap struct {
	plan string
	log  *os.File

	mu   sync.Mutex
	seen map[string]bool
	text string // the plan that hits are counted for
	hits int
}

var theTrap = sync.OnceValue(func() *trap {
	t := &trap{plan: os.Getenv(planVariable), seen: map[string]bool{}}
	if where := os.Getenv(logVariable); where != "" {
		var err error
		if t.log, err = os.OpenFile(where, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			panic(fmt.Sprintf("%s: %v", logVariable, err))
		}
	}
	return t
})

// hit is at a point.
func (t *trap) hit(point string) {
	t.mu.Lock()
	if !t.seen[point] {
		t.seen[point] = true
		if t.log != nil {
			_, _ = t.log.WriteString(point + "\n")
		}
	}
	action := t.judge(point)
	t.mu.Unlock()
	switch action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-time.After(20 * time.Millisecond) // a thread may run a little further before the stop reaches it
	}
}

// judge says what must happen at a point now.
func (t *trap) judge(point string) (action string) {
	if t.plan == "" {
		return ""
	}
	raw, err := os.ReadFile(t.plan)
	if err != nil {
		return "" // no plan at the moment
	}
	parts := strings.SplitN(strings.TrimSpace(string(raw)), " ", 3)
	if len(parts) != 3 || parts[2] != point {
		return ""
	}
	if t.text != string(raw) {
		t.text, t.hits = string(raw), 0
	}
	t.hits++
	if n, err := strconv.Atoi(parts[1]); err != nil || t.hits < n {
		return ""
	}
	if os.Rename(t.plan, t.plan+"."+strconv.Itoa(os.Getpid())) != nil {
		return "" // another process was faster
	}
	t.text = ""
	return parts[0]
}
