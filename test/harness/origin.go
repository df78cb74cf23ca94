package harness

import (
	"net/http/httptest"
	"net/url"

	origin "github.com/kas-fleet/kas-fleet-manager/test/emulator/gateway"
)

// Origin gives the URL of the one origin with the layout of the public one, for
// the public tools: all replicas of the fleet manager, and the services outside.
// What comes through it is held against the specification, too.
func (w *World) Origin() string {
	w.t.Helper()
	at := func(address string) *url.URL {
		parsed, err := url.Parse(address)
		if err != nil {
			w.t.Fatal(err)
		}
		return parsed
	}
	fleet := httptest.NewServer(w.gateway.proxy)
	w.t.Cleanup(fleet.Close)
	server := httptest.NewServer(origin.New(origin.Services{
		Replicas: []*url.URL{at(fleet.URL)}, Accounts: at(w.AMS.url), Clusters: at(w.OCM.url), SSO: at(w.SSO.url), Realm: UserRealm,
		TokenOf: w.SSO.UserToken,
	}))
	w.t.Cleanup(server.Close)
	return server.URL
}
