package clusterwork_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster/clusterwork"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/robot"
	robots "github.com/kas-fleet/kas-fleet-manager/internal/robot/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	ocmemulator "github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// TestMain leaves out a goroutine that a dependency of the OCM SDK starts when it is loaded.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*loggingT).flushDaemon"))
}

const (
	realm     = "rhoas"
	clusterID = "1sandbox0000000000000000000000c1"
	strimzi   = "managed-kafka"
	fleet     = "kas-fleetshard-operator"
	agentID   = "kas-fleetshard-agent-" + clusterID
	addons    = "/addons"
)

// world is a database, the emulated OCM and SSO, and the loops between them.
type world struct {
	t       *testing.T
	ctx     context.Context
	d       *db.DB
	keyring *db.Keyring
	sso     *sso.SSO
	ssoWire *emulator.Emulated
	ocm     *ocmemulator.OCM
	ocmWire *emulator.Emulated
	store   *cluster.Store
	ledger  *ledger.Store
	service *cluster.Service
	deps    clusterwork.Deps
	file    atomic.Pointer[cluster.File]
	metrics *prometheus.Registry
	logs    lines
}

// lines keeps what was logged.
type lines struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

func newWorld(t *testing.T, o ocmemulator.Options) *world {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, d: postgres.Database(t), metrics: prometheus.NewRegistry()}
	var err error
	w.keyring, err = db.ParseKeyring("test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	require.NoError(t, err)
	w.sso, err = sso.New(sso.Options{Clients: []sso.Client{{Realm: realm, ClientID: "fleet-manager", Secret: "own", Admin: true}}})
	require.NoError(t, err)
	w.ssoWire = emulator.Wrap("sso", w.sso.Handler())
	if o.Clusters == nil {
		o.Clusters = []ocmemulator.Cluster{{ID: clusterID, Name: "one", ExternalID: "e1", CloudProvider: "aws", Region: "us-east-1", DNS: "apps.one.example.test"}}
	}
	w.ocm = ocmemulator.New(o)
	w.ocmWire = emulator.Wrap("ocm", w.ocm.Handler())
	ssoURL, ocmURL := serve(t, w.ssoWire), serve(t, w.ocmWire)
	w.sso.SetBaseURL(ssoURL)

	admin, err := keycloak.New(keycloak.Config{Realm: keycloak.Realm{BaseURL: ssoURL, Name: realm}, ClientID: "fleet-manager", ClientSecret: "own"})
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	logger := slog.New(slog.NewJSONHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := ocm.New(ocm.Config{
		BaseURL: ocmURL, TokenURL: admin.Realm().TokenURL(), ClientID: "fleet-manager", ClientSecret: "own", Timeout: 3 * time.Second,
	}, logger)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	regions, err := catalog.Load(catalog.Config{InstanceTypesFile: catalog.DefaultInstanceTypesFile, ProvidersFile: catalog.DefaultProvidersFile})
	require.NoError(t, err)

	w.store, w.ledger = cluster.NewStore(w.d), ledger.NewStore(w.d)
	config := cluster.Config{ReconcileReady: true, PublicURL: "https://fleet.example.test", StrimziAddon: strimzi, FleetshardAddon: fleet, PollInterval: "15s", ResyncInterval: "60s"}
	metrics := cluster.NewMetrics(w.metrics, config)
	w.service = cluster.NewService(cluster.Deps{DB: w.d, Store: w.store, Metrics: metrics, Clock: clock.System, Logger: logger})
	w.list(`{name: one, cluster_id: ` + clusterID + `, cloud_provider: aws, region: us-east-1, schedulable: true, kafka_instance_limit: 5}`)
	w.deps = clusterwork.Deps{
		Store: w.store, Ledger: w.ledger, Keyring: w.keyring, Config: config, File: func() cluster.File { return *w.file.Load() },
		Regions: regions, Used: func(context.Context) ([]cluster.Usage, error) {
			return []cluster.Usage{{ClusterID: clusterID, InstanceType: "standard", Units: 2}}, nil
		},
		Metrics: metrics, Clock: clock.System, Logger: logger, Robots: robots.New(admin), Issuer: admin.Realm().Issuer(), OCM: client,
		Timing: clusterwork.Timing{Tick: 50 * time.Millisecond, Item: 10 * time.Second},
	}
	return w
}

func serve(t *testing.T, e *emulator.Emulated) string {
	t.Helper()
	server := httptest.NewServer(e.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// list replaces the operator's list by these entries.
func (w *world) list(entries ...string) {
	w.t.Helper()
	text := "clusters:\n"
	for _, e := range entries {
		text += "- " + e + "\n"
	}
	file, err := cluster.ParseFile("clusters.yaml", []byte(text))
	require.NoError(w.t, err)
	w.file.Store(&file)
}

// lead runs the loops as their leader does, until the returned function is called.
func (w *world) lead() (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	loops := clusterwork.New(w.deps).Loops()
	var names []string
	for _, l := range loops {
		names = append(names, l.Name)
	}
	metrics, err := reconcile.NewMetrics(prometheus.NewRegistry(), names...)
	require.NoError(w.t, err)
	engine := reconcile.New(slog.New(slog.DiscardHandler), metrics, func(context.Context, error) {})
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx, w.d.Tx, loops) })
	running.Go(func() { _ = w.d.Listen(ctx, cluster.NotifyChannel, engine.WakeAll, engine.Wake) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	w.t.Cleanup(stop)
	return stop
}

func (w *world) row() (cluster.Cluster, bool) {
	c, err := w.store.ByClusterID(w.ctx, clusterID)
	return c, err == nil
}

// until waits for the row to be as wanted, and gives it.
func (w *world) until(what string, is func(cluster.Cluster) bool) cluster.Cluster {
	w.t.Helper()
	var c cluster.Cluster
	if !w.eventually(func() bool {
		var there bool
		c, there = w.row()
		return there && is(c)
	}) {
		w.t.Fatalf("waited in vain until %s; status %s, last error %q", what, c.Status, c.LastError)
	}
	return c
}

func (w *world) eventually(is func() bool) bool {
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(10*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}

func in(status cluster.Status) func(cluster.Cluster) bool {
	return func(c cluster.Cluster) bool { return c.Status == status }
}

func (w *world) parameters() map[string]string {
	found, _ := w.ocm.AddonParameters(clusterID, fleet)
	return found
}

func (w *world) clients() int {
	n := 0
	for _, c := range w.sso.Clients(realm) {
		if strings.HasPrefix(c.ClientID, "kas-fleetshard-agent-") {
			n++
		}
	}
	return n
}

// posts counts requests that had an effect.
func (w *world) posts(e *emulator.Emulated, path string) int {
	n := 0
	for _, entry := range e.JournalOf("POST", path) {
		if entry.Effect {
			n++
		}
	}
	return n
}

func ready() cluster.Report {
	return cluster.Report{
		Conditions: []cluster.Condition{{Type: "Ready", Status: "True"}},
		Strimzi:    []cluster.ReportedOperator{{Version: "so.v0.23.0-4", Ready: true, KafkaVersions: []string{"3.3.1"}, KafkaIBPVersions: []string{"3.3"}}},
	}
}

func TestFromTheListToReady(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{AddonTime: 200 * time.Millisecond})
	w.lead()
	c := w.until("the cluster waits for its agent", in(cluster.WaitingForAgent))
	require.Equal(t, "apps.one.example.test", c.ClusterDNS)
	require.Equal(t, "e1", c.ExternalID)
	require.Equal(t, agentID, c.ClientID)
	require.Empty(t, c.StatusDetails)
	secret, err := w.keyring.Open(c.ClientSecret, "clusters", "client_secret", string(c.ID))
	require.NoError(t, err)
	made, found := w.sso.Client(realm, agentID)
	require.True(t, found)
	require.True(t, made.ServiceAccount)
	require.Equal(t, made.Secret, secret.Reveal())
	require.Equal(t, map[string]string{
		"sso-auth-server-url": w.deps.Issuer, "sso-client-id": agentID, "sso-secret": made.Secret,
		"control-plane-url": "https://fleet.example.test", "cluster-id": clusterID, "poll-interval": "15s", "resync-interval": "60s",
	}, w.parameters())
	bare, installed := w.ocm.AddonParameters(clusterID, strimzi)
	require.True(t, installed)
	require.Empty(t, bare)
	w.allRecorded(c)

	require.NoError(t, w.service.Report(w.ctx, clusterID, ready()))
	c, _ = w.row()
	require.Equal(t, cluster.Ready, c.Status)
	require.Equal(t, 5, c.CapacityLimit)
	placeable, err := w.store.Placeable(w.ctx, "aws", "us-east-1", 1)
	require.NoError(t, err)
	require.Len(t, placeable, 1)
	require.True(t, w.eventually(func() bool { return w.gauge("cluster_status_capacity_available") == 5 }), "shown by the leader")
}

func (w *world) allRecorded(c cluster.Cluster) {
	w.t.Helper()
	have, err := w.ledger.Of(w.ctx, cluster.OwnerKind, string(c.ID))
	require.NoError(w.t, err)
	keys := map[string]ledger.State{}
	for _, in := range have {
		keys[in.Kind+" "+in.Key] = in.State
	}
	require.Equal(w.t, map[string]ledger.State{
		"sso_client " + agentID: ledger.Created, "addon " + clusterID + "/" + strimzi: ledger.Created, "addon " + clusterID + "/" + fleet: ledger.Created,
	}, keys)
}

// gauge gives the largest value of a metric's series.
func (w *world) gauge(name string) float64 {
	families, err := w.metrics.Gather()
	require.NoError(w.t, err)
	most := -1.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kas_fleet_manager_"+name {
				most = max(most, m.GetGauge().GetValue()+m.GetCounter().GetValue())
			}
		}
	}
	return most
}

func TestTheInstallationIsFollowed(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{Clusters: []ocmemulator.Cluster{{ID: clusterID, State: "installing", DNS: "apps.one.example.test"}}})
	w.lead()
	c := w.until("it was looked at twice", func(c cluster.Cluster) bool { return c.Attempts >= 2 })
	require.Equal(t, cluster.Provisioning, c.Status)
	w.ocm.SetClusterState(clusterID, "ready", "")
	w.until("it is equipped", in(cluster.WaitingForAgent))
}

func TestAFailedInstallationIsKeptWithItsReason(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{Clusters: []ocmemulator.Cluster{{ID: clusterID, State: "error", ProvisionError: "no quota at the cloud"}}})
	w.lead()
	c := w.until("it failed", in(cluster.Failed))
	require.Equal(t, "no quota at the cloud", c.StatusDetails)
	require.Zero(t, w.clients())
}

// TestTroubleOnTheWay: whatever one call does, the cluster gets there, with one
// client and each add-on once.
func TestTroubleOnTheWay(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		sso   bool
		fault emulator.Fault
	}{
		"OCM down":                         {fault: emulator.Fault{Mode: emulator.Before, Status: 503, Times: 5}},
		"OCM throttles":                    {fault: emulator.Fault{Mode: emulator.Before, Status: 429, Times: 3}},
		"OCM answers nonsense":             {fault: emulator.Fault{Mode: emulator.Garbage, Times: 4}},
		"the add-on is there all the same": {fault: emulator.Fault{Method: "POST", Path: addons, Mode: emulator.After, Status: 500, Times: 2}},
		"cut after the add-on":             {fault: emulator.Fault{Method: "POST", Path: addons, Mode: emulator.ResetAfter, Times: 2}},
		"the add-on is asked for twice":    {fault: emulator.Fault{Method: "POST", Path: addons, Mode: emulator.Twice, Times: 2}},
		"SSO down":                         {sso: true, fault: emulator.Fault{Path: "/admin/", Mode: emulator.Before, Status: 503, Times: 4}},
		"the client is there all the same": {sso: true, fault: emulator.Fault{Method: "POST", Path: "/clients$", Mode: emulator.After, Status: 500, Times: 1}},
		"cut after the client":             {sso: true, fault: emulator.Fault{Method: "POST", Path: "/clients$", Mode: emulator.ResetAfter, Times: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ocmemulator.Options{})
			wire := w.ocmWire
			if fault.sso {
				wire = w.ssoWire
			}
			wire.Inject(fault.fault)
			w.lead()
			c := w.until("it is equipped in spite of it", in(cluster.WaitingForAgent))
			require.Equal(t, 1, w.clients())
			made, _ := w.sso.Client(realm, agentID)
			require.Equal(t, made.Secret, w.parameters()["sso-secret"])
			w.allRecorded(c)
			require.Empty(t, c.LastError)
			require.NotEmpty(t, w.logs.String())
			require.NotContains(t, w.logs.String(), made.Secret)
		})
	}
}

// TestRestartInTheMiddle stops the leader after each request in turn; the next
// one goes on from there.
func TestRestartInTheMiddle(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{})
	stop := w.lead()
	for n := 1; ; n++ {
		done := func() bool {
			c, there := w.row()
			return there && c.Status == cluster.WaitingForAgent
		}
		require.True(t, w.eventually(func() bool { return done() || len(w.ocmWire.Journal())+len(w.ssoWire.Journal()) >= n }))
		stop()
		if done() {
			break
		}
		stop = w.lead()
	}
	require.Equal(t, 1, w.clients())
	require.Equal(t, 1, w.posts(w.ssoWire, "/clients$"))
	require.Equal(t, 2, w.posts(w.ocmWire, addons+"$"))
	c, _ := w.row()
	w.allRecorded(c)
}

// TestIntentsComeFirst: what may exist outside is known before it can.
func TestIntentsComeFirst(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{})
	w.ssoWire.Inject(emulator.Fault{Path: "/admin/", Mode: emulator.Before, Status: 503})
	w.lead()
	c := w.until("an attempt failed", func(c cluster.Cluster) bool { return c.Status == cluster.Provisioned && c.Attempts > 0 })
	require.Contains(t, c.LastError, "SSO client")
	have, err := w.ledger.Of(w.ctx, cluster.OwnerKind, string(c.ID))
	require.NoError(t, err)
	require.Len(t, have, 3)
	for _, in := range have {
		require.Equal(t, ledger.Wanted, in.State)
	}
	require.Empty(t, w.ocmWire.JournalOf("POST", addons), "the agent would have no secret yet")
}

// TestTwoLeadersAtOnce: external calls cannot be fenced, so they must bear it.
func TestTwoLeadersAtOnce(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{})
	w.lead()
	w.lead()
	c := w.until("it is equipped", in(cluster.WaitingForAgent))
	require.Equal(t, 1, w.clients())
	made, _ := w.sso.Client(realm, agentID)
	require.Equal(t, made.Secret, w.parameters()["sso-secret"])
	w.allRecorded(c)
	live, err := w.store.Live(w.ctx)
	require.NoError(t, err)
	require.Len(t, live, 1)
}

func TestAFailedAddonIsShownAndTriedAgain(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{AddonTime: time.Hour})
	w.lead()
	require.True(t, w.eventually(func() bool { return w.ocm.SetAddonState(clusterID, strimzi, "failed") }))
	c := w.until("the failure is shown", func(c cluster.Cluster) bool { return c.StatusDetails != "" })
	require.Equal(t, "add-on managed-kafka is in state failed", c.StatusDetails)
	require.Equal(t, cluster.Provisioned, c.Status)
	require.Positive(t, w.gauge("cluster_addon_failures_total"))
	w.ocm.SetAddonState(clusterID, strimzi, "ready")
	require.True(t, w.eventually(func() bool { return w.ocm.SetAddonState(clusterID, fleet, "ready") }))
	c = w.until("it goes on", in(cluster.WaitingForAgent))
	require.Empty(t, c.StatusDetails)
}

func TestTheListIsFollowed(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{})
	w.lead()
	w.until("it is equipped", in(cluster.WaitingForAgent))
	require.NoError(t, w.service.Report(w.ctx, clusterID, ready()))
	w.list(`{name: one, cluster_id: `+clusterID+`, cloud_provider: aws, region: us-east-1, schedulable: true, kafka_instance_limit: 9, supported_instance_type: standard}`,
		`{cluster_id: other, cloud_provider: aws, region: us-east-1, status: ready, cluster_dns: apps.other.example.test}`)
	c := w.until("the limit is the new one", func(c cluster.Cluster) bool { return c.CapacityLimit == 9 })
	require.Equal(t, "standard", c.SupportedInstanceType)
	require.Equal(t, cluster.Ready, c.Status)
	require.Equal(t, "so.v0.23.0-4", c.AvailableStrimziVersions[0].Version, "what the agent said stays")
	w.until("it was checked and rests", func(c cluster.Cluster) bool { return c.NextAttemptAt.After(time.Now().Add(cluster.Recheck / 2)) })

	w.list()
	c = w.until("it takes no more", func(c cluster.Cluster) bool { return !c.Schedulable })
	require.Equal(t, cluster.Ready, c.Status, "its instances stay where they are")
	_, err := w.store.ByClusterID(w.ctx, "other")
	require.NoError(t, err)
}

// TestWhatSomebodyChangedIsPutRight: a cluster in use is checked now and then.
func TestWhatSomebodyChangedIsPutRight(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{})
	w.lead()
	w.until("it is equipped", in(cluster.WaitingForAgent))
	require.NoError(t, w.service.Report(w.ctx, clusterID, ready()))
	before, _ := w.row()
	w.ocmWire.ClearJournal()
	_, err := w.deps.Robots.Delete(w.ctx, robot.Ref{Key: agentID})
	require.NoError(t, err)
	require.NoError(t, w.d.Gorm(w.ctx).Exec("UPDATE clusters SET next_attempt_at = now()").Error)
	c := w.until("it has the new secret", func(c cluster.Cluster) bool { return c.ClientSecret != before.ClientSecret })
	made, _ := w.sso.Client(realm, agentID)
	require.True(t, w.eventually(func() bool { return w.parameters()["sso-secret"] == made.Secret }))
	require.Equal(t, cluster.Ready, c.Status)
	require.Empty(t, w.ocmWire.JournalOf("POST", addons))

	w.until("it rests", func(c cluster.Cluster) bool { return c.NextAttemptAt.After(time.Now().Add(cluster.Recheck / 2)) })
	at, _ := w.row()
	w.ocmWire.ClearJournal()
	require.NoError(t, w.d.Gorm(w.ctx).Exec("UPDATE clusters SET next_attempt_at = now()").Error)
	w.until("it rests again", func(c cluster.Cluster) bool { return c.NextAttemptAt.After(time.Now().Add(cluster.Recheck / 2)) })
	after, _ := w.row()
	require.Equal(t, at.Version, after.Version, "a check that finds all in order writes nothing that anybody sees")
	require.Empty(t, w.ocmWire.JournalOf("PATCH", addons))
}

func TestReadyClustersCanBeLeftAlone(t *testing.T) {
	w := newWorld(t, ocmemulator.Options{})
	w.deps.Config.ReconcileReady = false
	w.list(`{cluster_id: ` + clusterID + `, cloud_provider: aws, region: us-east-1, status: ready, cluster_dns: apps.one.example.test}`)
	w.lead()
	w.until("it is registered", in(cluster.Ready))
	require.True(t, w.eventually(func() bool { return w.gauge("cluster_status_count") == 1 }))
	require.Empty(t, w.ocmWire.Journal())
}
