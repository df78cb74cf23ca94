package httpx_test

import (
	"net/http"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

func TestProfilesStayOnThisMachine(t *testing.T) {
	t.Parallel()
	parse := func(t *testing.T, address string) httpx.Config {
		t.Helper()
		var c httpx.Config
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		c.Flags(fs)
		require.NoError(t, fs.Parse([]string{"--profiling-server-bindaddress=" + address}))
		return c
	}
	for _, address := range []string{"", "localhost:6060", "127.0.0.1:6060", "127.8.9.10:0", "[::1]:6060"} {
		c := parse(t, address)
		require.NoError(t, c.Validate(), address)
		require.Equal(t, address, c.Profile().Address)
	}
	for _, address := range []string{":6060", "0.0.0.0:6060", "[::]:6060", "10.1.2.3:6060", "localhost.example.org:6060", "localhost", "6060"} {
		c := parse(t, address)
		require.ErrorContains(t, c.Validate(), "--profiling-server-bindaddress", address)
	}
}

func TestProfilesAreServed(t *testing.T) {
	t.Parallel()
	server, _ := run(t, httpx.ServerOptions{}, httpx.ProfileHandler())
	for path, status := range map[string]int{
		"/debug/pprof/":                         http.StatusOK,
		"/debug/pprof/heap":                     http.StatusOK,
		"/debug/pprof/goroutine?debug=1":        http.StatusOK,
		"/debug/pprof/symbol":                   http.StatusOK,
		"/debug/pprof/profile?seconds=1":        http.StatusOK,
		"/debug/pprof/nothing-that-is-profiled": http.StatusNotFound,
		"/":                                     http.StatusNotFound,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Address()+path, nil)
		require.NoError(t, err)
		reply, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Equal(t, status, reply.StatusCode, path)
	}
}
