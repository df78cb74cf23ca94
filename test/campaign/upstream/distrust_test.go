package upstream

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestNobodyGoesWhereAnUpstreamSends lets every upstream answer a call with
// a redirect, as one does that wants to see what is behind our walls, or with more
// than anybody should read.
func TestNobodyGoesWhereAnUpstreamSends(t *testing.T) {
	t.Parallel()
	target, visits := trapped(t)
	misdirect := func(w *harness.World) {
		for _, u := range upstreams(w) {
			u.Inject(emulator.Fault{Path: u.path, Mode: emulator.Redirect, Target: target, Times: 1})
			u.Inject(emulator.Fault{Path: u.path, Mode: emulator.Oversize, Times: 1})
		}
	}
	w := harness.New(t, patient, harness.Faulty(), harness.Before(misdirect))
	alice := w.As(harness.Alice)
	id := alice.CreateKafka("one").ID
	misdirect(w)
	// The accounts are asked only for a new owner, while the customer waits.
	for range 2 {
		alice.Do(http.MethodPatch, "/kafkas/"+id, map[string]any{"owner": harness.Bob}).MustFail(http.StatusInternalServerError, 9)
	}
	w.WaitStatus(id, kafka.Ready)
	misdirect(w)
	alice.Delete(id)
	w.WaitGone(id)
	for name, u := range upstreams(w) {
		require.NotEmpty(t, u.JournalOf("", u.path), name)
	}
	require.Zero(t, visits.Load(), "somebody went there")
	nothingLeft(t, w)
}
