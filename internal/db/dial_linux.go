package db

import (
	"strings"
	"syscall"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall lacks.
const tcpUserTimeout = 0x12

// boundSilence ends a connection whose peer has not acknowledged what was sent
// for so long: a request would otherwise wait as long as TCP repeats it.
func boundSilence(network, _ string, raw syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil // a socket on this machine has no silence
	}
	var err error
	if failed := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(peerSilence.Milliseconds()))
	}); failed != nil {
		return failed
	}
	return err
}
