package main

import (
	"context"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

const dialLimit = 5 * time.Second

// socket is one connection that knows when the last part of a reply came, so that
// what the client does with a reply is not counted as the server's time.
type socket struct {
	io.ReadWriteCloser
	polled  net.Conn // nil: it waits in the kernel
	arrived time.Time
}

// connect makes a connection. One that is alone waits in the kernel: the way through
// the runtime's poller takes some 0.04 ms, which are not the server's either. Where
// there are more, the poller costs less than a thread for each.
func connect(ctx context.Context, address string, alone bool) (*socket, error) {
	dialer := net.Dialer{Timeout: dialLimit}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, isTCP := conn.(*net.TCPConn)
	if !alone || !isTCP {
		return &socket{ReadWriteCloser: conn, polled: conn}, nil
	}
	defer conn.Close()
	file, err := tcp.File()
	if err != nil {
		return nil, err
	}
	if err := waitInKernel(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &socket{ReadWriteCloser: file}, nil
}

func waitInKernel(file *os.File) error {
	fd := int(file.Fd()) // takes it out of the runtime's poller
	return syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: int64(replyLimit / time.Second)})
}

// bound gives the next reply its time.
func (s *socket) bound() error {
	if s.polled == nil {
		return nil // the kernel bounds each read
	}
	return s.polled.SetDeadline(time.Now().Add(replyLimit))
}

// end closes the connection; what that fails of is of no interest.
func (s *socket) end() { _ = s.Close() }

func (s *socket) Read(b []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(b)
	s.arrived = time.Now()
	return n, err
}
