package harness

import (
	"net/http/httptest"
	"net/url"

	origin "github.com/kas-fleet/kas-fleet-manager/test/emulator/gateway"
)

// Origin gives the URL of the one origin with the layout of the public one, for
// the public tools: the fleet manager, behind the world's own gateway, and the
// services outside.
func (w *World) Origin() string {
	w.t.Helper()
	at := func(address string) *url.URL {
		parsed, err := url.Parse(address)
		if err != nil {
			w.t.Fatal(err)
		}
		return parsed
	}
	server := httptest.NewServer(origin.New(origin.Services{
		Replicas: []*url.URL{at(w.gateway.url)}, Accounts: at(w.AMS.url), Clusters: at(w.OCM.url), SSO: at(w.SSO.url), Realm: UserRealm,
		TokenOf: w.SSO.UserToken,
	}))
	w.t.Cleanup(server.Close)
	return server.URL
}
