package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const replyLimit = 30 * time.Second // for one reply; one that takes longer is an error

// load is a closed loop: each connection sends a request when it has the reply to
// the one before. It speaks HTTP by hand, since what a client library costs would
// be taken from the server on a machine that they share.
type load struct {
	address     string
	connections int
	lasts       time.Duration
	wants       int // status of every reply
	// next appends the text of the n-th request of a connection.
	next func(buffer []byte, connection, n int) []byte
}

// outcome is what a load met.
type outcome struct {
	requests int
	errors   int
	first    error // the first of the errors
	wall     time.Duration
	sorted   []time.Duration
	bytes    int64 // of all bodies
}

func (o outcome) rate() float64 { return float64(o.requests) / o.wall.Seconds() }

func (o outcome) quantile(q float64) time.Duration {
	if len(o.sorted) == 0 {
		return 0
	}
	return o.sorted[min(int(q*float64(len(o.sorted))), len(o.sorted)-1)]
}

// run sends until the time is over. Errors are counted, not given back, but for
// connections that could not be made.
func (l load) run(ctx context.Context) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, l.lasts+replyLimit)
	defer cancel()
	lines := make([]*line, 0, l.connections)
	defer func() {
		for _, c := range lines {
			c.conn.end()
		}
	}()
	for i := range l.connections {
		c, err := l.dial(ctx, i)
		if err != nil {
			return outcome{}, err
		}
		lines = append(lines, c)
	}
	began := time.Now()
	var running sync.WaitGroup
	for _, c := range lines {
		running.Go(func() { c.work(ctx, l, began.Add(l.lasts)) })
	}
	running.Wait()
	total := outcome{wall: time.Since(began)}
	for _, c := range lines {
		total.requests += len(c.took)
		total.errors += c.errors
		total.bytes += c.bytes
		total.sorted = append(total.sorted, c.took...)
		if total.first == nil {
			total.first = c.first
		}
	}
	slices.Sort(total.sorted)
	return total, ctx.Err()
}

// line is one connection with what it met.
type line struct {
	index  int
	conn   *socket
	reader *bufio.Reader
	took   []time.Duration
	errors int
	first  error
	bytes  int64
}

func (l load) dial(ctx context.Context, index int) (*line, error) {
	conn, err := connect(ctx, l.address, l.connections <= 1)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", l.address, err)
	}
	return &line{index: index, conn: conn, reader: bufio.NewReaderSize(conn, 16<<10)}, nil
}

func (c *line) work(ctx context.Context, l load, end time.Time) {
	var buffer []byte
	for n := 0; time.Now().Before(end) && ctx.Err() == nil; n++ {
		buffer = l.next(buffer[:0], c.index, n)
		began := time.Now()
		err := c.exchange(buffer, l.wants)
		if err == nil {
			c.took = append(c.took, c.conn.arrived.Sub(began))
			continue
		}
		c.errors++
		if c.first == nil {
			c.first = err
		}
		var wrong wrongStatus
		if errors.As(err, &wrong) {
			continue
		}
		c.conn.end()
		again, err := l.dial(ctx, c.index)
		if err != nil {
			return
		}
		c.conn, c.reader = again.conn, again.reader
	}
}

type wrongStatus struct {
	status int
	body   string
}

func (w wrongStatus) Error() string { return fmt.Sprintf("status %d: %s", w.status, w.body) }

func (c *line) exchange(request []byte, wants int) error {
	if err := c.conn.bound(); err != nil {
		return err
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	reply, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != wants {
		body, err := io.ReadAll(reply.Body)
		return errors.Join(wrongStatus{reply.StatusCode, string(body[:min(len(body), 300)])}, err)
	}
	n, err := io.Copy(io.Discard, reply.Body)
	c.bytes += n
	return err
}

// request is a plain HTTP/1.1 request.
type request struct {
	method, path, token string
	headers             string // whole lines
	body                []byte
}

func (r request) append(buffer []byte) []byte {
	buffer = fmt.Appendf(buffer, "%s %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n%s", r.method, r.path, r.token, r.headers)
	if r.body != nil {
		buffer = fmt.Appendf(buffer, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(r.body))
	}
	buffer = append(buffer, "\r\n"...)
	return append(buffer, r.body...)
}

// answer is a whole reply.
type answer struct {
	status int
	etag   string
	body   []byte
}

// must gives the body of a reply that has the status.
func (a answer) must(status int) ([]byte, error) {
	if a.status != status {
		return nil, wrongStatus{a.status, string(a.body[:min(len(a.body), 300)])}
	}
	return a.body, nil
}

// one sends a single request.
func one(ctx context.Context, address string, r request) (answer, error) {
	c, err := load{address: address}.dial(ctx, 0)
	if err != nil {
		return answer{}, err
	}
	defer c.conn.end()
	if err := c.conn.bound(); err != nil {
		return answer{}, err
	}
	if _, err := c.conn.Write(r.append(nil)); err != nil {
		return answer{}, err
	}
	reply, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return answer{}, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return answer{status: reply.StatusCode, etag: reply.Header.Get("ETag"), body: body}, err
}
