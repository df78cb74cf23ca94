package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/broker"
)

const (
	// Long enough to be seen, short enough for nobody to wait.
	bootDelay    = 300 * time.Millisecond
	installDelay = 500 * time.Millisecond
	deleteDelay  = 300 * time.Millisecond
	brokers      = agent.DefaultBrokers
)

// dataPlane runs an agent on every cluster whose add-on is installed. The Kafkas of
// all clusters are brokers behind one router.
type dataPlane struct {
	ctx    context.Context // ends with close: agents live longer than the calls that bring them
	cancel context.CancelFunc
	router *broker.Router
	make   agent.DataPlane
	logger *slog.Logger
	on     bool // AGENTS

	mu     sync.Mutex
	agents map[string]*running
	wait   sync.WaitGroup
}

// running is the agent of one cluster.
type running struct {
	agent      *agent.Agent
	parameters map[string]string
	stop       context.CancelFunc
	ended      chan struct{}
	conduct    conduct
}

func openDataPlane(port int, authority *broker.Authority, on bool, logger *slog.Logger) (*dataPlane, error) {
	router, err := broker.StartRouter(local(port), authority, logger)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &dataPlane{
		ctx: ctx, cancel: cancel, router: router, on: on, logger: logger, agents: map[string]*running{},
		make: lasting(agent.RealKafkas(router, brokers, logger)),
	}, nil
}

// lasting lets an instance outlive its agent: a new agent finds what the one before
// it made, as on a real cluster.
func lasting(d agent.DataPlane) agent.DataPlane {
	var mu sync.Mutex
	made := map[string]bool{}
	return agent.DataPlane{
		Create: func(ctx context.Context, k agent.ManagedKafka) error {
			mu.Lock()
			defer mu.Unlock()
			if made[k.ID] {
				return nil
			}
			err := d.Create(ctx, k)
			made[k.ID] = err == nil
			return err
		},
		Delete: func(ctx context.Context, k agent.ManagedKafka) error {
			mu.Lock()
			defer mu.Unlock()
			delete(made, k.ID)
			return d.Delete(ctx, k)
		},
	}
}

// addonReady is told by OCM, within a request of the fleet manager: it must not wait.
func (d *dataPlane) addonReady(clusterID, addonID string, parameters map[string]string) {
	if !d.on || addonID != fleetAddon {
		return
	}
	d.wait.Go(func() {
		if err := d.start(clusterID, parameters); err != nil {
			d.logger.Error("agent not started", "cluster_id", clusterID, "error", err)
		}
	})
}

func (d *dataPlane) start(clusterID string, parameters map[string]string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	if old, ok := d.agents[clusterID]; ok {
		if maps.Equal(old.parameters, parameters) {
			return nil
		}
		old.stop()
		<-old.ended
	}
	config, err := agent.FromParameters(parameters)
	if err != nil {
		return err
	}
	config.ClusterDNS = dnsOf(clusterID)
	config.InstallDelay, config.DeleteDelay, config.Brokers = installDelay, deleteDelay, brokers
	config.DataPlane, config.Logger = d.make, d.logger
	ctx, stop := context.WithCancel(d.ctx)
	r := &running{agent: agent.New(config), parameters: maps.Clone(parameters), stop: stop, ended: make(chan struct{})}
	d.agents[clusterID] = r
	go func() {
		defer close(r.ended)
		// An agent needs a moment to start. One that reports before the fleet manager
		// has noted its add-on as installed is not heard until its next report.
		select {
		case <-ctx.Done():
		case <-time.After(bootDelay):
			r.agent.Run(ctx)
		}
	}()
	return nil
}

func dnsOf(clusterID string) string {
	for _, c := range clusters() {
		if c.ID == clusterID {
			return c.DNS
		}
	}
	return ""
}

// conduct is how an agent was told to behave.
type conduct struct {
	Fate   agent.Fate   `json:"fate"`
	Manner agent.Manner `json:"manner"`
	IDs    []string     `json:"ids,omitempty"`
}

func (c conduct) check() error {
	if c.Fate != agent.Healthy && !slices.Contains(agent.Fates(), c.Fate) {
		return fmt.Errorf("unknown fate %q: one of %q, or empty for a healthy one", c.Fate, agent.Fates())
	}
	if c.Manner != agent.Honest && !slices.Contains(agent.Manners(), c.Manner) {
		return fmt.Errorf("unknown manner %q: one of %q, or empty for an honest one", c.Manner, agent.Manners())
	}
	return nil
}

// behave tells a cluster's agent how to behave; false when there is none.
func (d *dataPlane) behave(clusterID string, c conduct) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.agents[clusterID]
	if ok {
		r.agent.SetFate(c.Fate, c.IDs...)
		r.agent.SetManner(c.Manner, c.IDs...)
		r.conduct = c
	}
	return ok
}

// conducts tells how each agent behaves.
func (d *dataPlane) conducts() map[string]conduct {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]conduct{}
	for id, r := range d.agents {
		all[id] = r.conduct
	}
	return all
}

// close ends all agents and their Kafkas.
func (d *dataPlane) close() error {
	d.cancel()
	d.wait.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.agents {
		<-r.ended
	}
	return d.router.Close()
}
