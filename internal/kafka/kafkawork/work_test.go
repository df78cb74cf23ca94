package kafkawork_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/xid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka/kafkawork"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	robots "github.com/kas-fleet/kas-fleet-manager/internal/robot/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
	dnsclient "github.com/kas-fleet/kas-fleet-manager/internal/upstream/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// The SDK of accounts management logs through glog, whose flusher runs from the start.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*loggingT).flushDaemon"))
}

const (
	realm  = "rhoas"
	domain = "kafka.example.test"
	doubt  = 15 * time.Second
)

// bench is a database, the emulated SSO and DNS, and loops whose steps a test
// takes one by one, at a time of its own.
type bench struct {
	t       *testing.T
	ctx     context.Context
	now     time.Time
	d       *db.DB
	keyring *db.Keyring
	sso     *sso.SSO
	ssoWire *emulator.Emulated
	dns     *route53.Route53
	dnsWire *emulator.Emulated
	store   *kafka.Store
	ledger  *ledger.Store
	deps    kafkawork.Deps
	loops   map[string]reconcile.Loop
}

// newBench makes a bench; connections bounds the pool of the database.
func newBench(t *testing.T, connections int) *bench {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	b := &bench{t: t, ctx: ctx, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	var err error
	b.d, err = db.Open(ctx, db.Config{URL: log.Secret(postgres.URL(t)), MaxOpenConnections: connections}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.d.Close() })
	b.keyring, err = db.ParseKeyring("test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	require.NoError(t, err)
	b.sso, err = sso.New(sso.Options{Clients: []sso.Client{
		{Realm: realm, ClientID: "fleet-manager", Secret: "own", Admin: true},
		{Realm: realm, ClientID: "canary-of-somebody-else", Attributes: map[string]string{"created_at": "2001-01-01T00:00:00Z"}},
	}})
	require.NoError(t, err)
	b.ssoWire = emulator.Wrap("sso", b.sso.Handler())
	ssoURL := serve(t, b.ssoWire)
	b.sso.SetBaseURL(ssoURL)
	b.dns = route53.New(route53.Options{Zones: []route53.Zone{{ID: "Z1", Name: domain}}, AccessKey: "AKID"})
	b.dnsWire = emulator.Wrap("dns", b.dns.Handler())
	admin, err := keycloak.New(keycloak.Config{
		Realm: keycloak.Realm{BaseURL: ssoURL, Name: realm}, ClientID: "fleet-manager", ClientSecret: "own", Timeout: 2 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	names, err := dnsclient.New(dnsclient.Config{EndpointURL: serve(t, b.dnsWire), Domain: domain, AccessKey: "AKID", SecretAccessKey: "own"})
	require.NoError(t, err)
	b.store, b.ledger = kafka.NewStore(b.d), ledger.NewStore(b.d)
	handover := &kafka.Handover{}
	handover.Open(true)
	b.deps = kafkawork.Deps{
		Handover: handover,
		Store:    b.store, Clusters: cluster.NewStore(b.d), Ledger: b.ledger, Keyring: b.keyring,
		Config: kafka.Config{DomainName: domain, EnableCNAMEs: true, EnableAuth: true}, Metrics: kafka.NewMetrics(prometheus.NewRegistry()),
		Clock: func() time.Time { return b.now }, Logger: slog.New(slog.DiscardHandler), Robots: robots.New(admin), DNS: names,
		Timing: kafkawork.Timing{Tick: time.Hour, Item: 10 * time.Second, Doubt: doubt, Sweep: time.Minute},
	}
	b.rewire()
	return b
}

func serve(t *testing.T, e *emulator.Emulated) string {
	t.Helper()
	server := httptest.NewServer(e.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(e.ClearFaults)
	return server.URL
}

// rewire makes the loops anew after the dependencies changed.
func (b *bench) rewire() {
	b.loops = map[string]reconcile.Loop{}
	for _, loop := range kafkawork.New(b.deps).Loops() {
		b.loops[loop.Name] = loop
	}
}

// step runs a loop once on a key, as the engine would.
func (b *bench) step(loop string, id kafka.ID) error {
	b.t.Helper()
	l := b.loops[loop]
	require.NotEmpty(b.t, l.Name, "no loop %s", loop)
	_, cause := l.Work(b.ctx, b.d.Tx, string(id))
	if cause == nil {
		return nil
	}
	_, err := l.Failed(b.ctx, b.d.Tx, string(id), cause)
	require.NoError(b.t, err, "a failure must be storable")
	return cause
}

func (b *bench) due(loop string) []string {
	b.t.Helper()
	keys, err := b.loops[loop].Due(b.ctx, 100)
	require.NoError(b.t, err)
	return keys
}

// cluster puts a cluster that is ready; strimzi is its version, empty for none yet.
func (b *bench) cluster(id, strimzi string) {
	b.t.Helper()
	now := clock.System()
	c := cluster.Cluster{
		ID: cluster.ID(xid.New().String()), CreatedAt: now, UpdatedAt: now, Version: 1, CloudProvider: "aws", Region: "us-east-1", MultiAZ: true,
		ClusterID: &id, Status: cluster.Ready, StatusChangedAt: now, ClusterDNS: "apps." + id + ".example.test", ClusterType: "managed",
		ProviderType: "ocm", SupportedInstanceType: "standard,developer", Schedulable: true, CapacityLimit: -1, NextAttemptAt: now,
	}
	if strimzi != "" {
		c.AvailableStrimziVersions = cluster.StrimziVersions{{
			Version: strimzi, Ready: true, KafkaVersions: []cluster.VersionName{{Version: "3.3.1"}}, KafkaIBPVersions: []cluster.VersionName{{Version: "3.3"}},
		}}
	}
	require.NoError(b.t, b.d.Gorm(b.ctx).Create(&c).Error)
}

// kafka puts an instance that entered its status now.
func (b *bench) kafka(name string, status kafka.Status, change ...func(*kafka.Kafka)) kafka.ID {
	b.t.Helper()
	k := kafka.Kafka{
		ID: kafka.ID(xid.New().String()), CreatedAt: b.now, UpdatedAt: b.now, Version: 1, Name: name, Status: status, StatusChangedAt: b.now,
		NextAttemptAt: b.now, CloudProvider: "aws", Region: "us-east-1", MultiAZ: true, Owner: "alice", OrganisationID: "org1",
		InstanceType: "standard", SizeID: "x1", CapacityConsumed: 1, QuotaConsumed: 1, QuotaType: "quota-management-list",
		MaxDataRetentionSize: "1000Gi", ClusterID: "c1",
	}
	for _, fn := range change {
		fn(&k)
	}
	require.NoError(b.t, b.d.Gorm(b.ctx).Create(&k).Error)
	return k.ID
}

// live reads a row that is not erased.
func (b *bench) live(id kafka.ID) kafka.Kafka {
	b.t.Helper()
	k, err := b.store.Live(b.ctx, id)
	require.NoError(b.t, err)
	return k
}

// clients are the canaries' clients of the realm, by whomever they were made.
func (b *bench) clients() []string {
	ids := []string{}
	for _, c := range b.sso.Clients(realm) {
		if len(c.ClientID) > 7 && c.ClientID[:7] == "canary-" {
			ids = append(ids, c.ClientID)
		}
	}
	return ids
}

const foreign = "canary-of-somebody-else"
