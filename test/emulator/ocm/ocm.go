// Package ocm emulates the cluster service of OCM: clusters and their states,
// ingresses, add-ons, machine pools, SyncSets, identity providers, and the list
// of clouds and regions.
//
// It is for tests and for the sandbox. It issues no tokens (the SSO does) and
// installs nothing: states advance with the clock or by hand. Invariant: an
// add-on installation has the id of its add-on, and a cluster's name is unique.
//
// Assumptions about the real service that nothing here can prove: 409 for a
// second installation of an add-on, 400 for one on a cluster that is not ready,
// and that a PATCH of an installation replaces the whole list of parameters.
package ocm

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm/wire"
)

// Service is where the cluster service lives and how it names its errors.
var Service = wire.Service{Base: "/api/clusters_mgmt/v1", Code: "CLUSTERS-MGMT"}

// Cluster is a cluster as its test or sandbox describes it.
type Cluster struct {
	ID             string
	Name           string
	ExternalID     string
	State          string // empty: ready
	ProvisionError string
	CloudProvider  string
	Region         string
	MultiAZ        bool
	DNS            string // of the default ingress, such as apps.mk-one.example.test
}

// Region is a region of a cloud.
type Region struct {
	Provider, ID, DisplayName string
	MultiAZ                   bool
}

// Options configure the emulator.
type Options struct {
	Clusters      []Cluster
	Regions       []Region // nil: two of aws and one of gcp
	InstallTime   time.Duration
	UninstallTime time.Duration
	AddonTime     time.Duration
	Verify        wire.Verify // nil: any bearer token will do
	// OnAddonReady runs when an add-on has become ready and when a ready one got
	// new parameters. It runs in the request that shows the state, so keep it short.
	OnAddonReady func(clusterID, addonID string, parameters map[string]string)
	Now          func() time.Time // nil: the machine's clock
}

// OCM is the emulator's state.
type OCM struct {
	options Options
	now     func() time.Time

	mu       sync.Mutex
	clusters []*cluster
	last     int
	due      []func() // hooks to run once the lock is free
}

// cluster is a cluster with all that belongs to it.
type cluster struct {
	Cluster
	properties map[string]string
	since      time.Time // of the installation or the deletion, whichever runs
	moves      bool      // the state advances with the clock
	addons     []*addon
	pools      documents
	syncSets   documents
	idps       documents
}

// New makes an emulator.
func New(o Options) *OCM {
	if o.Regions == nil {
		o.Regions = []Region{
			{"aws", "us-east-1", "US East, N. Virginia", true}, {"aws", "eu-west-1", "EU, Ireland", true},
			{"gcp", "us-east1", "Moncks Corner, South Carolina, USA", true},
		}
	}
	e := &OCM{options: o, now: o.Now}
	if e.now == nil {
		e.now = time.Now
	}
	for _, c := range o.Clusters {
		if c.State == "" {
			c.State = "ready"
		}
		e.clusters = append(e.clusters, &cluster{Cluster: c})
	}
	return e
}

// Handler serves the API.
func (e *OCM) Handler() http.Handler {
	mux := http.NewServeMux()
	e.clusterRoutes(mux)
	e.addonRoutes(mux)
	e.documentRoutes(mux)
	Service.Otherwise(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := Service.User(w, r, e.options.Verify); ok {
			e.locked(func() { mux.ServeHTTP(w, r) })
		}
	})
}

// locked runs fn on a settled state, then the hooks that became due.
func (e *OCM) locked(fn func()) {
	for _, hook := range e.settled(fn) {
		hook()
	}
}

func (e *OCM) settled(fn func()) (due []func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle()
	fn()
	e.settle()
	due, e.due = e.due, nil
	return due
}

// settle brings all states up to the clock.
func (e *OCM) settle() {
	now := e.now()
	e.clusters = slices.DeleteFunc(e.clusters, func(c *cluster) bool {
		return c.moves && c.State == "uninstalling" && now.Sub(c.since) >= e.options.UninstallTime
	})
	for _, c := range e.clusters {
		if c.moves && c.State != "uninstalling" {
			c.State = progress(now.Sub(c.since), e.options.InstallTime)
		}
		if c.State == "ready" && c.ExternalID == "" {
			c.ExternalID = "00000000-0000-4000-8000-" + c.ID[len(c.ID)-min(12, len(c.ID)):]
		}
		e.settleAddons(c, now)
	}
}

// progress is the state of an installation that takes so long and began so long ago.
func progress(elapsed, takes time.Duration) string {
	switch {
	case elapsed >= takes:
		return "ready"
	case elapsed >= takes/2:
		return "installing"
	}
	return "pending"
}

func (e *OCM) cluster(id string) *cluster {
	for _, c := range e.clusters {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// SetClusterState fixes a cluster's state; the clock no longer moves it.
func (e *OCM) SetClusterState(id, state, provisionError string) bool {
	found := false
	e.locked(func() {
		if c := e.cluster(id); c != nil {
			c.State, c.ProvisionError, c.moves, found = state, provisionError, false, true
		}
	})
	return found
}

// SetAddonState fixes the state of an add-on installation; the clock no longer moves it.
func (e *OCM) SetAddonState(clusterID, addonID, state string) bool {
	found := false
	e.locked(func() {
		if a := e.addon(clusterID, addonID); a != nil {
			a.state, a.moves, found = state, false, true
		}
	})
	return found
}

// Clusters gives all clusters in the order of their creation.
func (e *OCM) Clusters() []Cluster {
	all := []Cluster{}
	e.locked(func() {
		for _, c := range e.clusters {
			all = append(all, c.Cluster)
		}
	})
	return all
}

// AddonParameters gives the parameters of an installation; ok is false when there is none.
func (e *OCM) AddonParameters(clusterID, addonID string) (parameters map[string]string, ok bool) {
	e.locked(func() {
		if a := e.addon(clusterID, addonID); a != nil {
			parameters, ok = a.values(), true
		}
	})
	return parameters, ok
}

// State gives the clusters and the states of their add-ons, without parameters, which hold secrets.
func (e *OCM) State() any {
	type clusterState struct {
		Cluster
		Addons   map[string]string `json:"addons"`
		Pools    []string          `json:"machine_pools"`
		SyncSets []string          `json:"syncsets"`
	}
	all := []clusterState{}
	e.locked(func() {
		for _, c := range e.clusters {
			s := clusterState{c.Cluster, map[string]string{}, slices.Sorted(maps.Keys(c.pools)), slices.Sorted(maps.Keys(c.syncSets))}
			for _, a := range c.addons {
				s.Addons[a.id] = a.state
			}
			all = append(all, s)
		}
	})
	return map[string]any{"clusters": all}
}
