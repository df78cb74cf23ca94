package kafka

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/xid"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// office is the use cases on a database with one cluster that is ready.
type office struct {
	*Service
	t       *testing.T
	d       *db.DB
	cluster cluster.Cluster
	logs    *lines
	metrics *prometheus.Registry
}

// lines keeps what was logged.
type lines struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(p)
}

func (l *lines) all() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

func newOffice(t *testing.T, quotaList string) office {
	t.Helper()
	d, logs := postgres.Database(t), &lines{}
	list, err := quota.Parse("list", []byte(quotaList))
	require.NoError(t, err)
	rules := quota.Rules{List: list, Catalog: shipped(t), Config: quota.Config{EnforceLimits: true, MaxInstances: 1, AllowDeveloper: true, MaxDeveloperInstances: 2}}
	keyring, err := db.ParseKeyring("test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	require.NoError(t, err)
	o := office{t: t, d: d, logs: logs, cluster: clusterRow("c1"), metrics: prometheus.NewRegistry()}
	require.NoError(t, d.Gorm(bound(t)).Create(&o.cluster).Error)
	o.Service = NewService(Deps{
		DB: d, Store: NewStore(d), Clusters: cluster.NewStore(d), Rules: func() quota.Rules { return rules }, Quota: quota.NewListProvider(func() quota.Rules { return rules }), Ledger: ledger.NewStore(d), Keyring: keyring,
		Config: Config{DomainName: "kafka.test", EnableCNAMEs: true}, Metrics: NewMetrics(o.metrics), Clock: clock.System,
		Logger: slog.New(slog.NewJSONHandler(logs, nil)),
	})
	return o
}

// clusterRow is a cluster that takes whatever comes.
func clusterRow(id string) cluster.Cluster {
	now := clock.System()
	return cluster.Cluster{
		ID: cluster.ID(xid.New().String()), CreatedAt: now, UpdatedAt: now, Version: 1, CloudProvider: "aws", Region: "us-east-1", MultiAZ: true,
		ClusterID: &id, Status: cluster.Ready, StatusChangedAt: now, ClusterDNS: "apps." + id + ".example.test", ClusterType: "managed",
		ProviderType: "ocm", SupportedInstanceType: "standard,developer", Schedulable: true, CapacityLimit: -1, NextAttemptAt: now,
		AvailableStrimziVersions: cluster.StrimziVersions{{
			Version: "strimzi-1", Ready: true, KafkaVersions: []cluster.VersionName{{Version: "3.3.1"}}, KafkaIBPVersions: []cluster.VersionName{{Version: "3.3"}},
		}},
	}
}

// provisioned puts an instance on the cluster that waits for its agent.
func (o office) provisioned(name string) Kafka {
	o.t.Helper()
	k := row(name, Provisioning)
	k.ClusterID, k.BootstrapServerHost = "c1", name+".kafka.test"
	return live(o.t, o.d, put(o.t, o.d, k).ID)
}

func (o office) refused(reason string) int {
	families, err := o.metrics.Gather()
	require.NoError(o.t, err)
	for _, family := range families {
		for _, series := range family.GetMetric() {
			if labels := series.GetLabel(); len(labels) == 1 && labels[0].GetName() == "reason" && labels[0].GetValue() == reason {
				return int(series.GetCounter().GetValue())
			}
		}
	}
	o.t.Fatalf("nothing counts reports refused for %s", reason)
	return 0
}

func ready(routes ...ReportedRoute) Report {
	return Report{Conditions: conditions("True", "", ""), Routes: routes}
}

func route(prefix string) ReportedRoute {
	return ReportedRoute{Prefix: prefix, Router: "kas.c1.example.test"}
}

func TestOneEntryThatCannotBeStoredHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	taken, nul, long := o.provisioned("a-taken"), o.provisioned("b-nul"), o.provisioned("c-long")
	good := o.provisioned("z-good") // ids grow, so all the others come before it
	require.NoError(t, o.d.Tx(bound(t), func(tx db.Tx) error {
		return ledger.Want(tx, clock.System(), ledger.Intent{OwnerKind: OwnerKind, OwnerID: "another", Kind: KindDNSRecord, Key: "a-taken.kafka.test"})
	}))
	best := ready(route(""), route("admin-server"))
	best.KafkaVersion, best.AdminServerURI = "3.3\x00.1\xff", "https://admin/"+strings.Repeat("x", 5<<20)
	require.NoError(t, o.Report(bound(t), o.cluster, map[ID]Report{
		taken.ID: ready(route("")),
		nul.ID:   ready(ReportedRoute{Router: "\x00.c1.example.test"}), // which no JSON column takes
		long.ID:  ready(route(strings.Repeat("x", 6<<10))), good.ID: best,
	}))
	got := live(t, o.d, good.ID)
	require.Len(t, got.Routes, 2)
	require.Equal(t, "3.3.1", got.ActualKafkaVersion)
	require.Len(t, got.AdminAPIServerURL, 1024)
	require.Equal(t, taken, live(t, o.d, taken.ID), "all of an entry or nothing")
	for _, bad := range []Kafka{nul, long} {
		require.Nil(t, live(t, o.d, bad.ID).Routes)
	}
	require.Equal(t, 3, o.refused("not_storable")+o.refused("not_believed"))
	require.Zero(t, o.refused("unknown_instance"))
	intents, err := ledger.NewStore(o.d).Of(bound(t), OwnerKind, string(good.ID))
	require.NoError(t, err)
	require.Len(t, intents, 2)
}

func TestAKeyThatIsBeingDeletedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	leaving, good := o.provisioned("a-leaving"), o.provisioned("z-good")
	require.NoError(t, o.d.Tx(bound(t), func(tx db.Tx) error {
		in := ledger.Intent{ID: "i1", OwnerKind: OwnerKind, OwnerID: string(leaving.ID), Kind: KindDNSRecord, Key: "a-leaving.kafka.test"}
		if err := ledger.Want(tx, clock.System(), in); err != nil {
			return err
		}
		return ledger.Mark(tx, clock.System(), "i1", ledger.Deleting, nil)
	}))
	require.NoError(t, o.Report(bound(t), o.cluster, map[ID]Report{leaving.ID: ready(route("")), good.ID: ready(route(""))}))
	require.Len(t, live(t, o.d, good.ID).Routes, 1)
	require.Equal(t, 1, o.refused("not_storable"))
}

func TestUnknownInstancesCostOneLineHoweverMany(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	known, waiting := o.provisioned("one"), row("two", Preparing)
	waiting.ClusterID = "c1"
	waiting = live(t, o.d, put(t, o.d, waiting).ID)
	const unknown = 70_000
	reports := map[ID]Report{known.ID: ready(route("")), waiting.ID: ready(route(""))}
	for i := range unknown {
		reports[ID(fmt.Sprintf("unknown-%d", i))] = ready(route(""))
	}
	require.NoError(t, o.Report(bound(t), o.cluster, reports))
	require.Len(t, live(t, o.d, known.ID).Routes, 1, "what is known counts among them")
	require.Equal(t, waiting, live(t, o.d, waiting.ID), "the agent cannot have seen it")
	require.Equal(t, unknown+1, o.refused("unknown_instance"))
	require.Len(t, o.logs.all(), 1)
	require.Contains(t, o.logs.all()[0], fmt.Sprintf(`"count":%d`, unknown+1))
	var intents int64
	require.NoError(t, o.d.Gorm(bound(t)).Table("external_resources").Count(&intents).Error)
	require.EqualValues(t, 1, intents)
}

func TestTheTextOfAnAgentIsBounded(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	k := o.provisioned("one")
	novel := strings.Repeat("it crashed\x00\xff ", 500_000)
	require.NoError(t, o.Report(bound(t), o.cluster, map[ID]Report{k.ID: {Conditions: conditions("False", "Error", novel)}}))
	got := live(t, o.d, k.ID)
	require.Equal(t, Failed, got.Status)
	require.Equal(t, publicFailure, got.FailedReason)
	require.True(t, strings.HasPrefix(got.FailedDetail, "it crashed it crashed"), "%.40q", got.FailedDetail)
	require.LessOrEqual(t, len(got.FailedDetail), 1024)
	history, err := o.Store.History(bound(t), k.ID)
	require.NoError(t, err)
	require.Equal(t, "reported an error", history[len(history)-1].Reason)
	for _, line := range o.logs.all() {
		require.Less(t, len(line), 2048)
	}
}

func TestTheNextClusterIsHeardThoughItsClockIsBehind(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	two := clusterRow("c2")
	require.NoError(t, o.d.Gorm(bound(t)).Create(&two).Error)
	k := o.provisioned("one")
	fast, slow := clock.System().Add(50*time.Second), clock.System().Add(-time.Hour)
	installing := Report{Conditions: conditions("False", "Installing", ""), At: &fast}
	full := Report{Conditions: conditions("False", "Rejected", "Cluster has insufficient resources"), At: &fast}
	for _, r := range []Report{installing, full} {
		require.NoError(t, o.Report(bound(t), o.cluster, map[ID]Report{k.ID: r}))
	}
	moved := live(t, o.d, k.ID)
	require.Empty(t, moved.ClusterID)
	require.Nil(t, moved.ReportedAt)
	act(t, o.d, moved, Change{Event: Reassigned, Actor: ByLoop, Now: clock.System(), Set: Columns{"cluster_id": "c2", "bootstrap_server_host": "one.kafka.test"}})
	heard := ready(ReportedRoute{Router: "kas.c2.example.test"})
	heard.At = &slow
	require.NoError(t, o.Report(bound(t), two, map[ID]Report{k.ID: heard}))
	require.Len(t, live(t, o.d, k.ID).Routes, 1)
}
