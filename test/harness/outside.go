package harness

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	dnsclient "github.com/kas-fleet/kas-fleet-manager/internal/upstream/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

// Realms of the SSO.
const (
	UserRealm  = "redhat-external"
	Realm      = "rhoas" // of service accounts, agents and canaries
	AdminRealm = "rhoas-kafka-sre"
)

// Credentials of the fleet manager itself.
const (
	adminClient = "kas-fleet-manager"
	adminSecret = "marker-of-the-sso-administrator"
	robotClient = "kas-fleet-manager-accounts"
	robotSecret = "marker-of-the-sso-accounts"
	ocmClient   = "ocm-kas-fleet-manager"
	ocmSecret   = "marker-of-the-ocm-client"
	awsKey      = "AKIASANDBOX"
	awsSecret   = "marker-of-the-dns-account"
)

const zoneID = "Z0SANDBOX"

// SSO is the emulated single sign-on with its faults and its journal.
type SSO struct {
	*sso.SSO
	*emulator.Emulated
	url string
}

// OCM is the emulated cluster service.
type OCM struct {
	*ocm.OCM
	*emulator.Emulated
	url string
}

// AMS is the emulated account service.
type AMS struct {
	*ams.AMS
	*emulator.Emulated
	url string
}

// DNS is the emulated Route 53.
type DNS struct {
	*route53.Route53
	*emulator.Emulated
	url string
}

// Observatorium is the emulated store of the data planes' metrics.
type Observatorium struct {
	*observatorium.Observatorium
	*emulator.Emulated
	url string
}

// Records gives the records of the instances' zone.
func (d *DNS) Records() []route53.Record { return d.Route53.Records(Domain) }

// Of gives the records of one instance.
func (d *DNS) Of(id string) []route53.Record {
	found := []route53.Record{}
	for _, r := range d.Records() {
		if strings.Contains(r.Name, id) {
			found = append(found, r)
		}
	}
	return found
}

// Remove deletes a record through the API, as another owner of the zone would.
func (d *DNS) Remove(t *testing.T, r route53.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	client, err := dnsclient.New(dnsclient.Config{EndpointURL: d.url, Domain: Domain, AccessKey: awsKey, SecretAccessKey: awsSecret})
	if err == nil {
		_, err = client.Delete(ctx, []string{r.Name}, func(dnsclient.Record) bool { return true })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// PutRecord writes a record past the API, as another owner of the zone would.
func (d *DNS) PutRecord(r route53.Record) { d.Put(zoneID, r) }

func people() []sso.User {
	return []sso.User{
		{Username: Alice, Password: Alice, OrgID: Organisation, AccountID: "account-alice"},
		{Username: Bob, Password: Bob, OrgID: Organisation, AccountID: "account-bob"},
		{Username: Carol, Password: Carol, OrgID: Organisation, AccountID: "account-carol", OrgAdmin: true},
		{Username: Eve, Password: Eve, OrgID: Organisation, AccountID: "account-eve"},
		{Username: Mallory, Password: Mallory, OrgID: StrangeOrganisation, AccountID: "account-mallory", OrgAdmin: true},
		{Username: Dave, Password: Dave, OrgID: LimitedOrganisation, AccountID: "account-dave"},
		{Username: Erin, Password: Erin, OrgID: LimitedOrganisation, AccountID: "account-erin"},
		{Username: Nora, Password: Nora},
		{Realm: AdminRealm, Username: Boss, Password: Boss, Roles: []string{"kas-fleet-manager-admin-full"}},
		{Realm: AdminRealm, Username: Reader, Password: Reader, Roles: []string{"kas-fleet-manager-admin-read"}},
	}
}

// AccountRealm is the realm in which the accounts are.
func (w *World) AccountRealm() string {
	if w.o.provider == RedHatSSO {
		return UserRealm
	}
	return Realm
}

// Robot finds the account of a machine at the SSO: by its client id where we choose
// that, otherwise by its name.
func (w *World) Robot(clientID, name string) (sso.Client, bool) {
	if w.o.provider == MasSSO {
		return w.SSO.Client(Realm, clientID)
	}
	for _, c := range w.SSO.Clients(UserRealm) {
		if c.Name == name && c.Attributes["rh-org-id"] == ServiceOrganisation {
			return c, true
		}
	}
	return sso.Client{}, false
}

// Canary finds the account of an instance's canary.
func (w *World) Canary(id string) (sso.Client, bool) {
	key := kafka.CanaryClientID(kafka.ID(id))
	return w.Robot(key, key)
}

// SSOURL is where the SSO is reached.
func (w *World) SSOURL() string { return w.SSO.url }

// openOutside starts the upstreams. It runs before any replica, so they end after all of them.
func (w *World) openOutside() {
	w.t.Helper()
	identity, err := sso.New(sso.Options{
		Users: people(), AccountRealm: w.AccountRealm(), AccountLimit: w.o.accountLimit, Unlimited: []string{ServiceOrganisation},
		Clients: []sso.Client{
			{Realm: Realm, ClientID: adminClient, Secret: adminSecret, ServiceAccount: true, Admin: true},
			{Realm: UserRealm, ClientID: ocmClient, Secret: ocmSecret, ServiceAccount: true},
			{
				Realm: UserRealm, ClientID: robotClient, Secret: robotSecret, ServiceAccount: true,
				Scopes: []string{"api.iam.service_accounts"}, Claims: map[string]string{"rh-org-id": ServiceOrganisation},
			},
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.SSO = &SSO{SSO: identity}
	w.SSO.Emulated, w.SSO.url = w.serve("sso", identity.Handler())
	identity.SetBaseURL(w.SSO.url)

	fleet := ocm.New(ocm.Options{Clusters: w.ocmClusters(), OnAddonReady: w.agents.learn})
	w.OCM = &OCM{OCM: fleet}
	w.OCM.Emulated, w.OCM.url = w.serve("ocm", fleet.Handler())

	var accounts []ams.Account
	for _, p := range people() {
		if p.OrgID != "" {
			accounts = append(accounts, ams.Account{ID: p.AccountID, Username: p.Username, OrgExternalID: p.OrgID})
		}
	}
	people := ams.New(ams.Options{
		Accounts: accounts, Organisations: []ams.Organisation{{ExternalID: Organisation, EBSAccountID: AccountNumber}},
		Verify: func(token string) (string, error) { return identity.Whose(UserRealm, token) },
	})
	w.AMS = &AMS{AMS: people}
	w.AMS.Emulated, w.AMS.url = w.serve("ams", people.Handler())

	figures := observatorium.New()
	w.Observatorium = &Observatorium{Observatorium: figures}
	w.Observatorium.Emulated, w.Observatorium.url = w.serve("observatorium", figures.Handler())

	names := route53.New(route53.Options{
		Zones: []route53.Zone{{ID: zoneID, Name: Domain}}, SyncAfter: w.o.dnsDelay, AccessKey: awsKey,
	})
	w.DNS = &DNS{Route53: names}
	w.DNS.Emulated, w.DNS.url = w.serve("dns", names.Handler())
}

func (w *World) ocmClusters() []ocm.Cluster {
	var all []ocm.Cluster
	for _, c := range w.o.clusters {
		state := "ready"
		if c.Pending {
			state = "installing"
		}
		all = append(all, ocm.Cluster{
			ID: c.ID, Name: clusterName(c.ID), State: state, CloudProvider: "aws", Region: "us-east-1", MultiAZ: true, DNS: clusterDNS(c.ID),
		})
	}
	return all
}

func clusterName(id string) string { return "mk-" + id[len(id)-2:] }

func clusterDNS(id string) string { return "apps." + clusterName(id) + ".example.test" }

// serve puts faults, a journal and the watch for secrets around an upstream.
func (w *World) serve(name string, h http.Handler) (*emulator.Emulated, string) {
	faults := emulator.Wrap(name, w.secrets.watch(h))
	server := httptest.NewServer(faults)
	w.t.Cleanup(server.Close)
	w.t.Cleanup(faults.ClearFaults) // lets go what hangs, or Close would wait for it
	return faults, server.URL
}

// handedOut finds what an upstream's JSON gives away.
var handedOut = regexp.MustCompile(`"(?:secret|access_token|refresh_token|id_token)":"([^"]{8,})"`)

// secretValue is the one reply in which a secret is called a value.
var secretValue = regexp.MustCompile(`"value":"([^"]{8,})"`)

// watch remembers every secret that passes, so that the log can be searched for it.
func (s *secrets) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
			s.add("a bearer token", token)
		}
		seen := &copyWriter{ResponseWriter: w}
		h.ServeHTTP(seen, r)
		for _, found := range handedOut.FindAllSubmatch(seen.body.Bytes(), -1) {
			s.add("a secret of "+r.URL.Path, string(found[1]))
		}
		if strings.HasSuffix(r.URL.Path, "/client-secret") {
			for _, found := range secretValue.FindAllSubmatch(seen.body.Bytes(), -1) {
				s.add("a client secret", string(found[1]))
			}
		}
	})
}

// copyWriter keeps a copy of the reply.
type copyWriter struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (c *copyWriter) Write(p []byte) (int, error) {
	c.body.Write(p)
	return c.ResponseWriter.Write(p)
}
