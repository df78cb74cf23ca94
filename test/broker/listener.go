package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxRequest is the default of a real broker's socket.request.max.bytes.
const maxRequest = 100 << 20

// listener hands connections that a router accepted to one node. The cluster advertises
// whatever its listeners call their address, so the address is the public host and port.
type listener struct {
	addr    advertised
	conns   chan net.Conn
	closed  chan struct{}
	closing sync.Once
	traffic *traffic
}

func newListener(addr string) *listener {
	return &listener{addr: advertised(addr), conns: make(chan net.Conn), closed: make(chan struct{}), traffic: newTraffic()}
}

// Accept gives the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return nil
}

// Addr is the host and port that clients are told to use.
func (l *listener) Addr() net.Addr { return l.addr }

// deliver gives a connection to the node, or closes it if the node is gone.
func (l *listener) deliver(ctx context.Context, c net.Conn) {
	conn := newFramed(c, l.traffic)
	select {
	case l.conns <- conn:
	case <-l.closed:
		_ = conn.Close()
	case <-ctx.Done():
		_ = conn.Close()
	}
}

type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// framed refuses what is no Kafka request before the cluster sees it: the cluster allocates
// the size it is told and panics on an unknown request key, so one stray HTTP client would
// take the whole sandbox down.
type framed struct {
	net.Conn
	head []byte // of the frame, read ahead and not yet passed on
	left int    // bytes of the frame still to come from the connection

	traffic *traffic
	replies replies
	ending  sync.Once
}

func newFramed(c net.Conn, t *traffic) *framed {
	t.open.Add(1)
	t.opened.Add(1)
	return &framed{Conn: c, traffic: t, replies: replies{traffic: t, asked: map[int32]int16{}}}
}

// Close also counts the connection out.
func (f *framed) Close() error {
	f.ending.Do(func() { f.traffic.open.Add(-1) })
	return f.Conn.Close()
}

// Write also counts what goes out.
func (f *framed) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	f.traffic.out.Add(int64(n))
	f.replies.note(p[:n])
	return n, err
}

// Read passes on at most the rest of the present frame.
func (f *framed) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(f.head) == 0 && f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	n, err := f.Conn.Read(p[:min(len(p), f.left)])
	f.left -= n
	f.traffic.in.Add(int64(n))
	return n, err
}

// next reads the size, key, version and correlation id of a frame.
func (f *framed) next() error {
	head := make([]byte, 12)
	if _, err := io.ReadFull(f.Conn, head[:8]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head)
	if size < 8 || size > maxRequest {
		return errors.New("reading request: size out of range")
	}
	key := int16(binary.BigEndian.Uint16(head[4:]))
	req := kmsg.RequestForKey(key)
	version := int16(binary.BigEndian.Uint16(head[6:]))
	// ApiVersions of any version is answered with the versions that are spoken.
	if req == nil || version < 0 || (version > req.MaxVersion() && key != kmsg.ApiVersions.Int16()) {
		return fmt.Errorf("reading request: unknown key %d version %d", key, version)
	}
	if _, err := io.ReadFull(f.Conn, head[8:]); err != nil {
		return err
	}
	f.head, f.left = head, int(size)-8
	f.traffic.in.Add(int64(len(head)))
	f.replies.expect(key, version, int32(binary.BigEndian.Uint32(head[8:])))
	return nil
}
