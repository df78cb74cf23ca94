package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// Timeouts of the server in use, with what a busy machine may add.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second
	writeTimeout  = 30 * time.Second
	lateness      = time.Second
)

// way is one way to keep a connection busy with nothing.
type way struct {
	name        string
	first, drip string
	reads       bool
	share       int           // of a hundred connections
	until       time.Duration // when it must be over
}

func ways(token string) []way {
	post := "POST " + harness.Base + "/kafkas?async=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 100000\r\n\r\n{"
	status := strings.Replace(post, "POST "+harness.Base+"/kafkas?async=true", "PATCH "+harness.Base+"/kafkas/x", 1)
	pipeline := strings.Repeat("GET "+harness.Base+"/openapi HTTP/1.1\r\nHost: x\r\n\r\n", 300)
	return []way{
		{"nothing", "", "", true, 20, headerTimeout},
		{"slow headers", "GET " + harness.Base + "/kafkas HTTP/1.1\r\nHost: x\r\n", "X: y\r\n", true, 40, headerTimeout},
		{"slow bodies", post, " ", true, 20, bodyTimeout},
		{"slow bodies of changes", status, " ", true, 15, bodyTimeout},
		{"slow readers", pipeline, "\r\n", false, 5, writeTimeout},
	}
}

// TestSlowClientsHurtNobody holds a thousand connections that do next to nothing,
// while customers work as before: no error, and nearly as fast as without them.
// Slow connections are cut in time, and leave no memory and no goroutine behind.
// The short tier waits for the timeout of headers only; httpx has a test of all.
//
// Not parallel: it compares times.
func TestSlowClientsHurtNobody(t *testing.T) {
	run := campaign.Begin(t, campaign.Tier{Short: 1000, Full: 5000})
	w := world(t, harness.ManualAgents())
	alice := w.As(harness.Alice)
	k := alice.CreateKafka("one")
	token, err := w.SSO.UserToken(harness.Alice)
	require.NoError(t, err)
	w.Hide("a slow caller's token", token)

	calm := measure(alice, k.ID, 2*time.Second)
	if calm.p99 > 100*time.Millisecond {
		t.Skipf("the machine is too busy already for a comparison of times: %s", calm)
	}
	routines, memory := runtime.NumGoroutine(), resident(t)
	slow := newCrowd(w.Replica(0).URL)
	for _, how := range ways(token) {
		for range run.N * how.share / 100 {
			slow.join(t, how)
		}
	}
	patience := headerTimeout
	if run.Full {
		patience = writeTimeout
	}
	stop := make(chan struct{})
	var dripping sync.WaitGroup
	dripping.Go(func() { slow.drip(stop) })
	busy := measure(alice, k.ID, patience+2*lateness)
	close(stop)
	dripping.Wait()
	peak := resident(t)

	slow.judge(t, run, patience, busy.max)
	slow.leave()
	alice.Do(http.MethodGet, "/kafkas/"+k.ID, nil).Must(http.StatusOK)
	w.Until("goroutines as before", func() (bool, string) {
		n := runtime.NumGoroutine()
		return n < routines+50, fmt.Sprintf("%d, before %d", n, routines)
	})
	debug.FreeOSMemory()
	after := resident(t)
	t.Logf("calm %s, with %d slow connections %s; resident %d MiB, at the peak %d, after %d", calm, run.N, busy, memory>>20, peak>>20, after>>20)
	if !run.Full || raced {
		return // beside other tests, or with the race detector, time and memory say nothing
	}
	require.Less(t, peak, memory+(150<<20))
	require.Less(t, after, memory+(60<<20))
	require.Less(t, busy.p99, max(10*calm.p99, 300*time.Millisecond))
}

// pace is how fast customers were served.
type pace struct {
	n             int
	p50, p99, max time.Duration
}

func (p pace) String() string {
	return fmt.Sprintf("%d requests p50 %s p99 %s max %s", p.n, p.p50, p.p99, p.max)
}

// measure reads as customers do, for a while; a failed request fails the test.
func measure(by *harness.Caller, id string, during time.Duration) pace {
	var mu sync.Mutex
	var took []time.Duration
	var reading sync.WaitGroup
	end := time.Now().Add(during)
	for i := range 3 {
		reading.Go(func() {
			path := []string{"/kafkas/" + id, "/kafkas?size=10", "/kafkas/" + id}[i]
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for time.Now().Before(end) {
				<-ticker.C
				began := time.Now()
				by.Do(http.MethodGet, path, nil).Must(http.StatusOK)
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	reading.Wait()
	slices.Sort(took)
	n := len(took)
	return pace{n, took[n/2], took[n*99/100], took[n-1]}
}

// crowd is many slow connections.
type crowd struct {
	address string
	all     []*slowOne
	reading sync.WaitGroup
}

type slowOne struct {
	way

	conn  net.Conn
	since time.Time
	ended atomic.Int64 // nanoseconds that it lived; 0: it does yet
}

func newCrowd(url string) *crowd { return &crowd{address: strings.TrimPrefix(url, "http://")} }

func (c *crowd) join(t *testing.T, how way) {
	t.Helper()
	since := time.Now()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", c.address)
	require.NoError(t, err)
	if tcp, ok := conn.(*net.TCPConn); ok && !how.reads { // the kernel must not read in its place
		require.NoError(t, tcp.SetReadBuffer(4096))
	}
	// As much of it as fits: who does not read is not read from either.
	require.NoError(t, conn.SetWriteDeadline(time.Now().Add(2*time.Second))) // a busy machine may take its time
	if _, err = io.WriteString(conn, how.first); err != nil {
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	one := &slowOne{way: how, conn: conn, since: since}
	c.all = append(c.all, one)
	if how.reads {
		c.reading.Go(func() {
			_, _ = io.Copy(io.Discard, conn) // until the other end closes, or we do
			one.end()
		})
	}
}

func (o *slowOne) end() { o.ended.CompareAndSwap(0, int64(time.Since(o.since))) }

// drip sends a little through each connection about twice a second. Whoever does
// not read learns so that it was cut.
func (c *crowd) drip(stop <-chan struct{}) {
	ticker := time.NewTicker(400 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		for _, one := range c.all {
			if one.ended.Load() != 0 {
				continue
			}
			_ = one.conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
			if _, err := io.WriteString(one.conn, one.drip); errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
				one.end()
			}
		}
	}
}

// judge demands that each connection whose timeout was waited for was cut in
// time, give or take what the machine lost in the meantime.
func (c *crowd) judge(t *testing.T, run campaign.Run, patience, lost time.Duration) {
	t.Helper()
	late := map[string]int{}
	for _, one := range c.all {
		lived := time.Duration(one.ended.Load())
		if lived == 0 {
			lived = time.Since(one.since)
			run.Count("open", 1)
		} else {
			require.Greater(t, lived, headerTimeout-500*time.Millisecond, "%s was cut early", one.name)
			run.Count("cut", 1)
		}
		if one.until <= patience && lived > one.until+lateness+lost {
			late[one.name]++
		}
	}
	require.Empty(t, late, "connections that were not cut in time")
}

func (c *crowd) leave() {
	for _, one := range c.all {
		_ = one.conn.Close()
	}
	c.reading.Wait()
}

// resident is the memory of this process that is in use.
func resident(t *testing.T) int64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}
