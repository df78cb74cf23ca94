// Package database holds the campaigns against the fleet manager's only memory:
// commits of which nobody knows whether they happened, a server that restarts,
// crashes, turns read-only or is full, connections that are cut or fall silent,
// notifications that are lost.
//
// It is for faults between replicas and PostgreSQL; those of the upstreams are in
// test/campaign/upstream. Invariant: every round demands that its fault was real,
// and at its end the harness's inspection holds.
package database

import (
	"flag"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		// Fewer worlds at a time than elsewhere: what is measured here is time.
		_ = flag.Set("test.parallel", "4")
	}
	harness.Main(m)
}

const kafkaLease = "kafka_reconciler"

// patient keeps a leader in office on a machine that is busy with other things, where
// its terms are not what a campaign is about.
var patient = harness.Set("leader-lease-expiration-time", "10s")

// unspecified is the catalogue's code of every failure that is not the caller's.
const unspecified = 9

// undisturbed is the history of an instance that nothing disturbed.
var undisturbed = []string{"created", "placed", "prepared", "became_ready", "delete_asked", "reported_deleted", "erased"}

// named gives the ids of the live instances with a name.
func named(w *harness.World, c *harness.Caller, name string) []string {
	var ids []string
	for _, k := range c.List("search", "name = "+name).Items {
		ids = append(ids, k.ID)
	}
	return ids
}

// insist repeats a call until it is no failure of the service any more, and gives
// the last reply. Every failure must be the catalogue's.
func insist(t *testing.T, w *harness.World, what string, call func() harness.Response) harness.Response {
	t.Helper()
	var last harness.Response
	w.Until(what, func() (bool, string) {
		last = call()
		if last.Status < http.StatusInternalServerError {
			return true, ""
		}
		last.MustFail(http.StatusInternalServerError, unspecified)
		return false, string(last.Body)
	})
	return last
}

// recovers demands that a level is reached within a bound, and gives how long it took.
func recovers(t *testing.T, w *harness.World, what string, bound time.Duration, look func() (bool, string)) time.Duration {
	t.Helper()
	began := time.Now()
	w.Until(what, look)
	took := time.Since(began)
	require.LessOrEqual(t, took, bound, what)
	return took
}

// ends deletes an instance and waits until it has gone.
func ends(t *testing.T, w *harness.World, c *harness.Caller, id string) {
	t.Helper()
	insist(t, w, "the deletion of "+id, func() harness.Response { return c.Do(http.MethodDelete, "/kafkas/"+id+"?async=true", nil) })
	w.WaitGone(id)
}

// ready waits until an instance may be used.
func ready(w *harness.World, id string) { w.WaitStatus(id, kafka.Ready) }
