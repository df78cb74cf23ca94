// Package harness is a whole fleet manager in a test: the process as it ships, on
// a database of its own, with an emulated world around it, agents on its clusters
// and customers who call it. Tests speak to it in verbs.
//
// It is for tests of what the process as a whole does. It is not for tests of one
// package and has no seams: whatever a test changes, it changes as an operator, a
// customer, an agent or a failing upstream could. Invariant: every reply that
// passes through it fits its specification, and when a test ends nothing that it
// started runs, no secret is in the log and the rows, the ledger and the world
// outside agree.
package harness

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// The people of every world.
const (
	Alice   = "alice"   // orders; her organisation has quota
	Bob     = "bob"     // her colleague
	Carol   = "carol"   // administers their organisation
	Mallory = "mallory" // of an organisation without quota: gets trial instances
	Dave    = "dave"    // his organisation has quota for one unit
	Erin    = "erin"    // his colleague
	Eve     = "eve"     // of Alice's organisation, and denied
	Nora    = "nora"    // of no organisation

	Boss   = "boss"   // administers the service itself
	Reader = "reader" // may look at all of it
)

// Organisations of the people.
const (
	Organisation        = "13640203" // of Alice, Bob, Carol and Eve
	ServiceOrganisation = "88000001" // of the fleet manager itself, where the SSO keeps the accounts
	StrangeOrganisation = "99000001" // of Mallory
	LimitedOrganisation = "99000002" // of Dave and Erin
)

// AccountNumber is what the billing system calls Alice's organisation; the others have none.
const AccountNumber = "7654321"

// ClusterOne is the cluster of a world that asks for no others. ClusterTwo is the usual second one.
const (
	ClusterOne = "1sandbox0000000000000000000000c1"
	ClusterTwo = "1sandbox0000000000000000000000c2"
)

// Domain is where instances get their host names.
const Domain = "kafka.sandbox.test"

// Patience bounds every wait. It is only ever used up by a test that fails: the
// longest honest wait is for a call that was given up and may still take effect.
const Patience = 60 * time.Second

// World is one fleet manager and everything around it.
type World struct {
	SSO *SSO
	OCM *OCM
	AMS *AMS
	DNS *DNS

	Observatorium *Observatorium

	DB       *db.DB // the tests' own way to the rows
	Kafkas   *kafka.Store
	Clusters *cluster.Store
	Ledger   *ledger.Store

	t       *testing.T
	o       options
	url     string // of the database
	files   files
	dir     string // of the files
	logs    *logs
	secrets *secrets
	specs   *specs
	gateway *gateway
	agents  *agents
	brokers *brokers     // nil: instances are nothing but rows of agents
	client  *http.Client // of all callers

	database database

	mu       sync.Mutex
	replicas []*Replica
}

// Cluster is a data-plane cluster of the world.
type Cluster struct {
	ID      string
	Units   int  // streaming units it may hold; -1: no limit
	Pending bool // the provider has not installed it yet
}

type options struct {
	replicas     int
	clusters     []Cluster
	settings     map[string]string
	manualAgents bool
	measured     bool
	unequipped   bool
	faulty       bool
	dnsDelay     time.Duration
	quotaList    string
	providers    string
	before       []func(*World)
	provider     string   // kind of SSO
	accountLimit int      // of an organisation, where the SSO keeps the accounts; 0: fifty
	proxied      bool     // replicas reach the database through proxies
	ownServer    int      // connections to a server of the world's own; 0: there is none
	binary       string   // of replicas that are processes
	environ      []string // of these
}

// Option changes the world that New makes.
type Option func(*options)

// Replicas is how many fleet managers run; one by default.
func Replicas(n int) Option { return func(o *options) { o.replicas = n } }

// Clusters are the data-plane clusters; by default ClusterOne without a limit.
func Clusters(clusters ...Cluster) Option { return func(o *options) { o.clusters = clusters } }

// Set gives a flag of the fleet manager another value.
func Set(flag, value string) Option { return func(o *options) { o.settings[flag] = value } }

// ManualAgents makes agents that speak only when the test lets them.
func ManualAgents() Option { return func(o *options) { o.manualAgents = true } }

// Unequipped does not wait until all clusters are ready.
func Unequipped() Option { return func(o *options) { o.unequipped = true } }

// The kinds of SSO.
const (
	MasSSO    = "mas_sso"
	RedHatSSO = "redhat_sso"
)

// SSOProviders lists them, for tests that hold for all.
func SSOProviders() []string { return []string{MasSSO, RedHatSSO} }

// SSOProvider chooses who keeps the accounts; by default the fleet manager does, in a realm of its own.
func SSOProvider(kind string) Option { return func(o *options) { o.provider = kind } }

// AccountLimit is how many service accounts an organisation may have.
func AccountLimit(n int) Option {
	return func(o *options) {
		o.accountLimit = n
		o.settings["max-allowed-service-accounts"] = strconv.Itoa(n)
	}
}

// SyncAfter is how long DNS changes take to reach all name servers.
func SyncAfter(d time.Duration) Option { return func(o *options) { o.dnsDelay = d } }

// QuotaList replaces the quota management list.
func QuotaList(yaml string) Option { return func(o *options) { o.quotaList = yaml } }

// AccountsQuota has accounts management grant quota: as much as the usual list does.
func AccountsQuota() Option {
	return func(o *options) {
		o.settings["quota-type"] = "ams"
		o.before = append(o.before, func(w *World) {
			w.AMS.SetAllowed(Organisation, ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 100})
			w.AMS.SetAllowed(LimitedOrganisation, ams.Quota{Product: "RHOSAK", BillingModel: "standard", Allowed: 1})
		})
	}
}

// Providers replaces the list of clouds and regions.
func Providers(yaml string) Option { return func(o *options) { o.providers = yaml } }

// Before runs when the world outside stands and no fleet manager does.
func Before(fn func(*World)) Option { return func(o *options) { o.before = append(o.before, fn) } }

// Faulty says that the test makes something fail on which replies depend, so that
// one with a 5xx status is no error by itself.
func Faulty() Option { return func(o *options) { o.faulty = true } }

// New makes a world, and takes it down when the test ends.
func New(t *testing.T, choices ...Option) *World {
	t.Helper()
	o := options{provider: MasSSO, replicas: 1, clusters: []Cluster{{ID: ClusterOne, Units: -1}}, settings: map[string]string{}}
	for _, choose := range choices {
		choose(&o)
	}
	w := &World{t: t, o: o, logs: &logs{}, secrets: newSecrets()}
	w.url = w.openDatabase()
	w.DB = postgres.OpenURL(t, w.url)
	w.Kafkas, w.Clusters, w.Ledger = kafka.NewStore(w.DB), cluster.NewStore(w.DB), ledger.NewStore(w.DB)
	t.Cleanup(w.inspect)
	w.specs = loadSpecs(t)
	w.client = newClient(t)
	w.agents = newAgents(w)
	w.gateway = newGateway(w)
	w.openOutside()
	if o.measured {
		w.openBrokers()
	}
	w.writeFiles()
	for _, fn := range o.before {
		fn(w)
	}
	for range o.replicas {
		w.StartReplica()
	}
	t.Cleanup(w.stopAll)
	if !o.unequipped {
		w.equip()
	}
	return w
}

// equip waits until the clusters take instances.
func (w *World) equip() {
	w.t.Helper()
	for _, c := range w.o.clusters {
		if !c.Pending {
			w.WaitCluster(c.ID, cluster.Ready)
		}
	}
}

// stopAll ends the agents before the replicas that they call.
func (w *World) stopAll() {
	w.agents.stop()
	for _, r := range w.live() {
		r.Stop()
	}
}

// live gives the replicas that run, in the order of their start.
func (w *World) live() []*Replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.replicas)
}

// Replica gives the i-th replica of those that run.
func (w *World) Replica(i int) *Replica {
	w.t.Helper()
	all := w.live()
	if i >= len(all) {
		w.t.Fatalf("only %d replicas run", len(all))
	}
	return all[i]
}

// Reset gives a flag another value for the replicas that start from now on.
func (w *World) Reset(flag, value string) { w.o.settings[flag] = value }

// Until waits for a level. look says whether it is reached, and what is there instead.
func (w *World) Until(what string, look func() (reached bool, instead string)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	ticker := time.NewTicker(15 * time.Millisecond)
	defer ticker.Stop()
	for {
		reached, instead := look()
		if reached {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("waited %s for %s; there is %s", Patience, what, instead)
		case <-ticker.C:
		}
	}
}

// newClient gives what callers call with: no redirects, and nothing left at the end.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// context is for the harness's own look-ups.
func (w *World) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Second)
}

func shown(v any) string { return fmt.Sprintf("%+v", v) }
