package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

const (
	// tokenLifetime lets a client read sandbox.env once a day.
	tokenLifetime = 24 * time.Hour
	addonTime     = 200 * time.Millisecond
	zoneID        = "Z0SANDBOX"
	accountScope  = "api.iam.service_accounts"
)

// credentials are what the fleet manager shows to its upstreams.
type credentials struct {
	SSOClient, SSOSecret    string
	RobotClient             string // makes accounts where the SSO keeps them
	RobotSecret             string
	OCMClient, OCMSecret    string
	AWSAccessKey, AWSSecret string
	EncryptionKeys          string
}

// upstreams are the emulated services and what surrounds them.
type upstreams struct {
	SSO     *sso.SSO
	OCM     *ocm.OCM
	AMS     *ams.AMS
	Route53 *route53.Route53
	Metrics *observatorium.Observatorium

	ssoCalls, ocmCalls, amsCalls, dnsCalls, metricsCalls *emulator.Emulated
}

// openUpstreams makes the services; onAddon hears of add-ons that became ready.
func openUpstreams(s settings, p ports, c credentials, onAddon func(clusterID, addonID string, parameters map[string]string)) (*upstreams, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making the key of customers' tokens: %w", err)
	}
	u := &upstreams{}
	u.SSO, err = sso.New(sso.Options{
		BaseURL: address(p.SSO), Realms: []string{customerRealm, accountRealm, adminRealm},
		Keys: map[string]*rsa.PrivateKey{customerRealm: key}, TokenLifetime: tokenLifetime, Users: people(),
		AccountRealm: s.accountRealm(), Unlimited: []string{serviceOrg},
		Clients: []sso.Client{
			{Realm: accountRealm, ClientID: c.SSOClient, Secret: c.SSOSecret, Admin: true},
			{Realm: customerRealm, ClientID: c.OCMClient, Secret: c.OCMSecret, ServiceAccount: true},
			{
				Realm: customerRealm, ClientID: c.RobotClient, Secret: c.RobotSecret, ServiceAccount: true,
				Scopes: []string{accountScope}, Claims: map[string]string{"rh-org-id": serviceOrg},
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the SSO: %w", err)
	}
	verify := verifier(&key.PublicKey)
	u.OCM = ocm.New(ocm.Options{Clusters: clusters(), AddonTime: addonTime, Verify: verify, OnAddonReady: onAddon})
	u.AMS = ams.New(ams.Options{Accounts: accounts(), Organisations: organisations(), Verify: verify})
	u.Route53 = route53.New(route53.Options{
		Zones: []route53.Zone{{ID: zoneID, Name: kafkaZone}}, Static: routerHosts(), AccessKey: c.AWSAccessKey,
	})
	u.Metrics = observatorium.New()
	u.ssoCalls = emulator.Wrap("sso", u.SSO.Handler()).ShowState(u.SSO.State)
	u.ocmCalls = emulator.Wrap("ocm", u.OCM.Handler()).ShowState(u.OCM.State)
	u.amsCalls = emulator.Wrap("ams", u.AMS.Handler()).ShowState(u.AMS.State)
	u.dnsCalls = emulator.Wrap("route53", u.Route53.Handler()).ShowState(u.Route53.State)
	u.metricsCalls = emulator.Wrap("observatorium", u.Metrics.Handler())
	return u, nil
}

// routerHosts are the names under which the data planes' ingress routers are known.
// One router serves all of them here.
func routerHosts() []route53.StaticHost {
	var hosts []route53.StaticHost
	for _, c := range clusters() {
		hosts = append(hosts, route53.StaticHost{Pattern: "*." + strings.TrimPrefix(c.DNS, "apps."), IP: "127.0.0.1"})
	}
	return hosts
}

// redHat serves the cluster, account and authorisation services of one origin.
func (u *upstreams) redHat() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, ocm.Service.Base+"/") {
			u.ocmCalls.ServeHTTP(w, r)
			return
		}
		u.amsCalls.ServeHTTP(w, r)
	})
}

// verifier takes tokens of the customers' realm.
func verifier(key *rsa.PublicKey) wire.Verify {
	return func(token string) (string, error) {
		claims := jwt.MapClaims{}
		parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}))
		if _, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
			return "", err
		}
		for _, name := range []string{"username", "preferred_username"} {
			if user, ok := claims[name].(string); ok && user != "" {
				return user, nil
			}
		}
		return "", errors.New("the token names no user")
	}
}

// serve answers on a port until the returned function is called.
func serve(ctx context.Context, port int, handler http.Handler) (stop func() error, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", local(port))
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		// At once: calls that hang by an injected fault would never drain.
		closing := server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return closing
	}, nil
}
