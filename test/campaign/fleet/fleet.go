// Package fleet is what campaigns do harm to: replicas as processes with crash
// points, on a PostgreSQL that flushes to disk, with the harness's world around
// them and customers who do not give up.
//
// It arms points, keeps the number of replicas and remembers what customers were
// told. It judges nothing: that is test/invariant's. Invariant: it acts as a
// crash, an operator or a balancer could; on the rows only to let time pass.
package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
	"github.com/kas-fleet/kas-fleet-manager/test/invariant"
)

// Times of the fleets: short enough for many rounds, in the proportions of the usual ones.
const (
	TTL   = 1500 * time.Millisecond
	Renew = 400 * time.Millisecond
	Tick  = 150 * time.Millisecond
)

const connections = 120

// Leases of the two reconcilers.
const (
	KafkaLease   = "kafka_reconciler"
	ClusterLease = "cluster_reconciler"
)

// Binary builds the fleet manager with its crash points.
func Binary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "kas-fleet-manager")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-tags", "crashpoints", "-o", binary,
		"github.com/kas-fleet/kas-fleet-manager/cmd/kas-fleet-manager").CombinedOutput()
	if err != nil {
		t.Fatalf("building with crash points: %v\n%s", err, out)
	}
	return binary
}

// Fleet is a world whose replicas are processes.
type Fleet struct {
	*harness.World

	t     *testing.T
	size  int
	plan  string // file that says which point to suffer at
	log   string // file of the points that were hit
	keyed bool   // customers name their orders
	names atomic.Int64
	spare int // clusters that the provider has and the operator's file has not

	mu      sync.Mutex
	replies []invariant.Reply
}

// Options say what fleet to make.
type Options struct {
	Binary   string
	Replicas int
	Settings map[string]string
	// AccountsQuota has accounts management grant quota. Customers then name their orders by keys.
	AccountsQuota bool
}

// spares is how many clusters a fleet may get in its life.
const spares = 60

// Open starts a fleet with one cluster that is ready.
func Open(t *testing.T, o Options) *Fleet {
	t.Helper()
	dir := t.TempDir()
	f := &Fleet{t: t, size: o.Replicas, keyed: o.AccountsQuota, plan: filepath.Join(dir, "plan"), log: filepath.Join(dir, "points")}
	settings := map[string]string{
		"leader-lease-expiration-time": TTL.String(), "leader-election-reconciler-repeat-interval": Renew.String(),
		"reconciler-repeat-interval": Tick.String(), "log-level": "info", "max-allowed-service-accounts": "100000",
	}
	for flag, value := range o.Settings {
		settings[flag] = value
	}
	choices := []harness.Option{
		harness.OwnServer(connections), harness.Processes(o.Binary, "CRASH_PLAN="+f.plan, "CRASH_LOG="+f.log), harness.Replicas(o.Replicas),
		harness.Faulty(), harness.Unequipped(), harness.Clusters(planned()...), harness.QuotaList(quota),
		harness.Before(func(w *harness.World) {
			f.World = w
			f.register(1)
			ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
			defer cancel()
			if err := invariant.Watch(ctx, w.DB); err != nil {
				t.Fatal(err)
			}
		}),
	}
	if o.AccountsQuota {
		choices = append(choices, harness.AccountsQuota())
	}
	for flag, value := range settings {
		choices = append(choices, harness.Set(flag, value))
	}
	harness.New(t, choices...)
	f.WaitCluster(clusterID(0), cluster.Ready)
	return f
}

const quota = `
registered_users_per_organisation:
- {id: "` + harness.Organisation + `", any_user: true, max_allowed_instances: 1000}
`

func planned() []harness.Cluster {
	var all []harness.Cluster
	for i := range spares {
		all = append(all, harness.Cluster{ID: clusterID(i), Units: -1})
	}
	return all
}

func clusterID(i int) string { return fmt.Sprintf("1campaign0000000000000000000000%02d", i) }

// Cluster is the one that takes all instances.
func (f *Fleet) Cluster() string { return clusterID(0) }

// register lets the operator's file list that many clusters. Only the first takes
// instances: the others come and are equipped.
func (f *Fleet) register(n int) {
	var text strings.Builder
	text.WriteString("clusters:\n")
	for i := range n {
		fmt.Fprintf(&text, "- {name: mk-%02d, cluster_id: %s, cloud_provider: aws, region: us-east-1, multi_az: true, schedulable: %v, kafka_instance_limit: -1}\n",
			i, clusterID(i), i == 0)
	}
	f.Rewrite("dataplane-cluster-config-file", text.String())
	f.spare = n
}

// Equip has the operator add a cluster, and waits until it is ready. It says false
// when the provider has no more.
func (f *Fleet) Equip(ctx context.Context) (bool, error) {
	f.mu.Lock()
	n := f.spare
	if n < spares {
		f.register(n + 1)
	}
	f.mu.Unlock()
	if n == spares {
		return false, nil
	}
	return true, f.Await(ctx, "cluster "+clusterID(n)+" ready", func() (bool, error) {
		c, err := f.Clusters.ByClusterID(ctx, clusterID(n))
		return err == nil && c.Status == cluster.Ready, nil
	})
}

// Arm has the first replica that hits the point for the n-th time from now on die
// ("kill") or stand still ("stop") there.
func (f *Fleet) Arm(action, point string, n int) {
	f.t.Helper()
	f.Disarm()
	draft := f.plan + "-draft"
	err := os.WriteFile(draft, []byte(action+" "+strconv.Itoa(n)+" "+point+"\n"), 0o600)
	if err == nil {
		err = os.Rename(draft, f.plan)
	}
	if err != nil {
		f.t.Fatalf("arming a point: %v", err)
	}
}

// Disarm takes the plan back and forgets whom it struck.
func (f *Fleet) Disarm() {
	_ = os.Remove(f.plan) // it may have been taken
	for _, name := range f.struck() {
		_ = os.Remove(name)
	}
}

func (f *Fleet) struck() []string {
	found, _ := filepath.Glob(f.plan + ".*") // the pattern is a good one
	return found
}

// Struck gives the process id of the replica that hit the armed point.
func (f *Fleet) Struck() (pid int, hit bool) {
	for _, name := range f.struck() {
		if pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Ext(name), ".")); err == nil {
			return pid, true
		}
	}
	return 0, false
}

// Points gives the points that were hit since the log was last cleared.
func (f *Fleet) Points() []string {
	raw, err := os.ReadFile(f.log)
	if err != nil {
		return nil
	}
	found := strings.Split(strings.TrimSpace(string(raw)), "\n")
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(p string) bool { return p == "" })
}

// Renew replaces all replicas, so that each point is new to somebody, and clears the log.
func (f *Fleet) Renew() {
	f.t.Helper()
	for _, r := range f.Running() {
		r.Kill()
	}
	_ = os.Remove(f.log) // there may be none yet
	f.Complete()
}

// Complete starts replicas until there are as many as at the beginning.
func (f *Fleet) Complete() {
	f.t.Helper()
	for len(f.Running()) < f.size {
		f.StartReplica()
	}
}

// Await asks often whether a level is reached.
func (f *Fleet) Await(ctx context.Context, what string, reached func() (bool, error)) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := reached()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
}

// Depose ends the leader for a lease gracefully, as a deployment does, and starts
// another replica in its place. It waits until another leads.
func (f *Fleet) Depose(ctx context.Context, lease string) error {
	var leader *harness.Replica
	if err := f.Await(ctx, "a leader for "+lease, func() (bool, error) { leader = f.LeaderOf(lease); return leader != nil, nil }); err != nil {
		return err
	}
	go func() { _ = leader.Process().Terminate() }()
	return f.Await(ctx, "another leader for "+lease, func() (bool, error) {
		now := f.LeaderOf(lease)
		return now != nil && now != leader, nil
	})
}

// LeaderOf gives the replica that leads now, if it runs.
func (f *Fleet) LeaderOf(lease string) *harness.Replica {
	for _, r := range f.Running() {
		if r.Leads(lease) {
			return r
		}
	}
	return nil
}

// ByPID gives the replica that runs, or ran, as that process.
func (f *Fleet) ByPID(all []*harness.Replica, pid int) *harness.Replica {
	for _, r := range all {
		if r.Process().PID() == pid {
			return r
		}
	}
	return nil
}

// Lead waits until both leases have a leader that runs.
func (f *Fleet) Lead() {
	f.t.Helper()
	f.Until("leaders", func() (bool, string) {
		return f.LeaderOf(KafkaLease) != nil && f.LeaderOf(ClusterLease) != nil, "none"
	})
}
