package db

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConnectionsDoNotWaitForASilentPeer(t *testing.T) {
	t.Parallel()
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		listener, err := net.Listen(network, address)
		require.NoError(t, err)
		conn, err := dialer().DialContext(t.Context(), network, listener.Addr().String())
		require.NoError(t, err, "%s", network)
		if tcp, ok := conn.(*net.TCPConn); ok {
			raw, err := tcp.SyscallConn()
			require.NoError(t, err)
			var set int
			require.NoError(t, raw.Control(func(fd uintptr) { set, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout) }))
			require.NoError(t, err)
			require.Equal(t, 10_000, set)
		}
		require.NoError(t, conn.Close())
		require.NoError(t, listener.Close())
	}
}
