package harness

import (
	"context"
	"sync"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/test/agent"
)

// agents are the agents of the world's clusters. Each comes into being when its
// add-on is installed, with the parameters that the fleet manager gave it.
type agents struct {
	world *World

	mu        sync.Mutex
	byCluster map[string]*Agent
	stopped   bool
	running   sync.WaitGroup
}

// Agent is the agent of one cluster.
type Agent struct {
	*agent.Agent
	ClusterID string

	world *World
	end   context.CancelFunc
}

func newAgents(w *World) *agents { return &agents{world: w, byCluster: map[string]*Agent{}} }

// learn is told by the cluster service when an add-on has become ready or has
// new parameters. The agent of a cluster whose parameters changed starts anew.
func (a *agents) learn(clusterID, addonID string, parameters map[string]string) {
	if addonID != fleetshardAddon {
		return
	}
	config, err := agent.FromParameters(parameters)
	if err != nil {
		a.world.t.Errorf("the agent of %s: %v", clusterID, err)
		return
	}
	a.world.secrets.add("the agent's secret", config.ClientSecret.Reveal())
	config.ClusterDNS = clusterDNS(clusterID)
	if a.world.brokers != nil {
		config.DataPlane = agent.RealKafkas(a.world.brokers.router, 0, nil)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	if old := a.byCluster[clusterID]; old != nil {
		old.end()
	}
	ctx, end := context.WithCancel(context.Background())
	made := &Agent{Agent: agent.New(config), ClusterID: clusterID, world: a.world, end: end}
	a.byCluster[clusterID] = made
	if !a.world.o.manualAgents {
		a.running.Go(func() { made.Run(ctx) })
	}
}

func (a *agents) of(clusterID string) *Agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byCluster[clusterID]
}

func (a *agents) stop() {
	a.mu.Lock()
	a.stopped = true
	for _, one := range a.byCluster {
		one.end()
	}
	a.mu.Unlock()
	a.running.Wait()
}

// Agent gives the agent of a cluster once its add-on is installed.
func (w *World) Agent(clusterID string) *Agent {
	w.t.Helper()
	w.Until("the agent of "+clusterID, func() (bool, string) { return w.agents.of(clusterID) != nil, "none" })
	return w.agents.of(clusterID)
}

// introduce lets a manual agent say that its cluster is ready.
func (w *World) introduce(clusterID string) {
	w.t.Helper()
	one := w.Agent(clusterID)
	w.WaitCluster(clusterID, cluster.WaitingForAgent)
	one.must(func(ctx context.Context) error { return one.PushClusterStatus(ctx, true) })
}

func (a *Agent) must(do func(ctx context.Context) error) {
	a.world.t.Helper()
	ctx, cancel := a.world.context()
	defer cancel()
	if err := do(ctx); err != nil {
		a.world.t.Fatalf("the agent of %s: %v", a.ClusterID, err)
	}
}

// The verbs of an agent that the test plays step by step.

// Lists gives what the cluster should run, by id.
func (a *Agent) Lists() map[string]agent.ManagedKafka {
	a.world.t.Helper()
	out := map[string]agent.ManagedKafka{}
	a.must(func(ctx context.Context) error {
		items, err := a.List(ctx)
		for _, k := range items {
			out[k.ID] = k
		}
		return err
	})
	return out
}

// Ready reports a listed instance ready, with routes and versions.
func (a *Agent) Ready(id string) {
	a.world.t.Helper()
	a.must(func(ctx context.Context) error { return a.ReportReady(ctx, id) })
}

// Gone reports that nothing of an instance is left on the cluster.
func (a *Agent) Gone(id string) {
	a.world.t.Helper()
	a.must(func(ctx context.Context) error { return a.ReportDeleted(ctx, id) })
}

// Says reports a condition named Ready with the status, the reason and a message.
func (a *Agent) Says(id, status, reason, message string) {
	a.world.t.Helper()
	a.must(func(ctx context.Context) error {
		return a.Report(ctx, id, agent.Condition{Type: "Ready", Status: status, Reason: reason, Message: message})
	})
}

// Sends reports exactly this.
func (a *Agent) Sends(report map[string]agent.Status) {
	a.world.t.Helper()
	a.must(func(ctx context.Context) error { return a.Put(ctx, report) })
}
