// Package upstream holds the campaigns against the services that the fleet manager
// calls: single sign-on, name servers, cluster service and accounts fail in every
// way that an upstream can, one at a time or all at once.
//
// It is for faults beyond the fleet manager's HTTP clients; those of the database
// are in test/campaign/database. Invariant: every round demands that its faults
// were real, and at its end nothing is left outside that no row knows.
package upstream

import (
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
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

// patient keeps a leader in office on a machine that is busy with other things.
var patient = harness.Set("leader-lease-expiration-time", "10s")

// ssoAdmin is what the fleet manager does at the SSO. Tokens and keys, which
// callers and agents need too, are left alone.
const ssoAdmin = "/admin/realms/"

// upstreams are the services with the paths on which they fail.
func upstreams(w *harness.World) map[string]struct {
	*emulator.Emulated
	path string
} {
	type upstream = struct {
		*emulator.Emulated
		path string
	}
	return map[string]upstream{
		"sso": {w.SSO.Emulated, ssoAdmin}, "dns": {w.DNS.Emulated, ""}, "ocm": {w.OCM.Emulated, ""}, "ams": {w.AMS.Emulated, ""},
	}
}

// names of upstreams, in the order in which seeds are drawn.
var names = []string{"ams", "dns", "ocm", "sso"}

func heal(w *harness.World) {
	for _, u := range upstreams(w) {
		u.ClearFaults()
	}
}

// canaries counts the clients of instances at the SSO.
func canaries(w *harness.World) (n int) {
	for _, c := range w.SSO.Clients(harness.Realm) {
		if strings.HasPrefix(c.ClientID, "canary-") {
			n++
		}
	}
	return n
}

// nothingLeft demands that of instances which are gone nothing is left anywhere.
func nothingLeft(t *testing.T, w *harness.World) {
	t.Helper()
	require.Zero(t, canaries(w))
	require.Empty(t, w.DNS.Records())
	var open int
	w.Scan(&open, "SELECT count(*) FROM external_resources WHERE owner_kind = 'kafka' AND state <> 'gone'")
	require.Zero(t, open)
}
