//go:build linux

package process_test

import (
	"bufio"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

// TestMain is also the child: it stays until it is asked to end.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		_, _ = io.WriteString(os.Stdout, "up\n")
		<-asked
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The kernel knows threads only: it takes the end of the one that made a child for the parent's death.
func TestAChildOutlivesTheThreadThatAskedForIt(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	said, says := io.Pipe()
	at, err := process.FreeAddresses(t.Context())
	require.NoError(t, err)
	var p *process.Process
	id := inItsOwnThread(func() { p, err = process.Start(t.Context(), at, process.Options{Binary: self, Output: says}) })
	require.NoError(t, err)
	go func() {
		<-p.Gone()
		_ = says.Close() // else the reader would wait for ever
	}()
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err, "it was ended")
	require.Equal(t, "up\n", line)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join("/proc/self/task", strconv.Itoa(id)))
		return os.IsNotExist(err)
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, p.Terminate())
	select {
	case <-p.Gone():
	case <-time.After(5 * time.Second):
		t.Fatal("the child does not end")
	}
	require.True(t, p.Succeeded(), "it was ended: %s", p.State())
}

// inItsOwnThread calls a func on a thread that ends then, and gives the thread's number.
func inItsOwnThread(fn func()) int {
	thread := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		id := syscall.Gettid()
		if id == os.Getpid() { // save for the first thread, which stays; while it is held another is taken
			id = inItsOwnThread(fn)
		} else {
			fn()
		}
		thread <- id
	}()
	return <-thread
}
