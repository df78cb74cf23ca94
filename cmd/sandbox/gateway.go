package main

import (
	"net/http"
	"net/url"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/gateway"
)

// frontDoor is the gateway of this world.
func frontDoor(p ports, tokenOf func(user string) (string, error)) http.Handler {
	services := gateway.Services{
		Accounts: origin(p.OCM), Clusters: origin(p.OCM), SSO: origin(p.SSO), Realm: customerRealm, TokenOf: tokenOf,
	}
	for _, r := range p.Replicas {
		services.Replicas = append(services.Replicas, origin(r.API))
	}
	return gateway.New(services)
}

func origin(port int) *url.URL { return &url.URL{Scheme: "http", Host: local(port)} }
