package scenario

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

// A profile tells of the memory of all customers: it is served where it was asked
// for, and by none of the servers that others reach.
func TestProfilesAreServedByNoOtherServer(t *testing.T) {
	t.Parallel()
	free, err := process.FreeAddresses(t.Context())
	require.NoError(t, err)
	h := harness.New(t, harness.Set("profiling-server-bindaddress", free.API))
	status := func(base string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/debug/pprof/goroutine?debug=1", nil)
		require.NoError(t, err)
		reply, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		return reply.StatusCode
	}
	require.Equal(t, http.StatusOK, status("http://"+free.API))
	replica := h.Replica(0)
	require.Equal(t, http.StatusNotFound, status(strings.TrimSuffix(replica.Metrics, "/metrics")))
	require.Equal(t, http.StatusNotFound, status(replica.Health))
	require.NotEqual(t, http.StatusOK, status(replica.URL))
}
