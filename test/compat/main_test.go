// Package compat replays the programs that call this API already: the command line
// tools, Terraform, Ansible, the operator, the web console and scripts. Each is
// played by the calls it makes, with its headers and encodings, and reads the
// replies as it does; docs/clients.md says which and how.
//
// It is for what those programs rely on. It is not for the API's own promises,
// which are held against the specification elsewhere. Invariant: nothing here uses
// the service's own types or client.
package compat

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/compat/sdk"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// Clients of the SSO that the public programs log in with.
const (
	cliClient   = "rhoas-cli-prod"
	cloudClient = "cloud-services"
)

// newWorld makes a world whose accounts service grants what the quota list does.
func newWorld(t *testing.T, more ...harness.Option) *harness.World {
	t.Helper()
	grants := harness.Before(func(w *harness.World) {
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 100})
		w.AMS.SetAllowed(harness.Organisation, ams.Quota{Product: "RHOSAKTrial", BillingModel: "standard", Allowed: 1})
	})
	return harness.New(t, append([]harness.Option{grants}, more...)...)
}

// idle is a world without data planes, for programs that order nothing.
func idle(t *testing.T, more ...harness.Option) *harness.World {
	t.Helper()
	return newWorld(t, append([]harness.Option{harness.Unequipped(), harness.Clusters()}, more...)...)
}

// newHTTP gives a program's own connections.
func newHTTP(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: harness.Patience}
}

func offlineToken(t *testing.T, h *harness.World, user string) string {
	t.Helper()
	token, err := h.SSO.OfflineToken(user)
	require.NoError(t, err)
	h.Hide("an offline token", token)
	return token
}

// exchange gives the tokens that a program gets for its offline token before it
// calls. They are got anew for each command, as none of the programs lives long.
func exchange(sso sdk.SSO, client, offline string) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		got, err := sso.Grant(ctx, "grant_type", "refresh_token", "client_id", client, "refresh_token", offline)
		if err == nil {
			_, err = sdk.Claims(got.Access)
		}
		return got.Access, err
	}
}

// ssoOf is the people's realm.
func ssoOf(t *testing.T, h *harness.World) sdk.SSO {
	t.Helper()
	return sdk.SSO{URL: h.SSO.Issuer(harness.UserRealm), HTTP: newHTTP(t)}
}
