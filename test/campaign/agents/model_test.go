package agents

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// Statuses as the model knows them. ending is "deleting" and after it "gone": when
// the one becomes the other only matters to those who wait.
const (
	provisioning = "provisioning"
	ready        = "ready"
	failed       = "failed"
	deprovision  = "deprovision"
	suspending   = "suspending"
	suspended    = "suspended"
	resuming     = "resuming"
	ending       = "ending"
)

// instance is what is known of one, and what must be true of it when everything
// that had to happen has happened.
type instance struct {
	id, name string

	status  string
	cluster string
	events  []string
	owner   string
	reauth  bool

	routes  string // the DNS names and what they point to; empty: none were taken
	synced  bool   // they are in DNS
	admin   string
	kafka   string
	strimzi string
	ibp     string
	upgrade string
	failure bool
	detail  string
	class   string
	at      time.Time

	excluded   []string // clusters that said no
	unreadable bool     // its secret cannot be opened
}

func (k instance) copy() instance {
	k.events, k.excluded = slices.Clone(k.events), slices.Clone(k.excluded)
	return k
}

func born(id, name, cluster, owner string) instance {
	return instance{
		id: id, name: name, status: provisioning, cluster: cluster, owner: owner, reauth: true,
		events: []string{"created", "placed", "prepared"},
	}
}

// host is the name by which customers reach it. Names of the campaign are short.
func (k instance) host() string { return k.name + "-" + k.id + "." + harness.Domain }

func (k instance) leaving() bool { return k.status == deprovision || k.status == ending }

func (k *instance) move(event, to string) {
	k.status = to
	k.events = append(k.events, event)
}

// hear is what a report changes.
func (k *instance) hear(r report) {
	means := r.said.phrase().means
	stale := !r.claimed.IsZero() && !k.at.IsZero() && r.claimed.Before(k.at)
	switch {
	case k.cluster != r.from, stale, k.status == ending:
		return
	case k.status == deprovision:
		if means == meansDeleted {
			k.move("reported_deleted", ending)
		}
		return
	case means == meansDeleted:
		return // nobody asked for it
	case means == meansFull && k.status == provisioning:
		k.displace()
		return
	}
	before := k.copy()
	switch means {
	case meansReady, meansInstalling:
		k.runs(r, means == meansReady)
	case meansError:
		if k.status == provisioning || k.status == ready || k.status == resuming {
			k.move("reported_failed", failed)
			k.failure, k.detail = true, r.said.phrase().message
		}
	case meansRejected:
		if k.status == provisioning && !slices.Contains(k.excluded, k.cluster) {
			k.move("rejected", provisioning)
			k.excluded = append(k.excluded, k.cluster)
		}
	case meansSuspended:
		if k.status == suspending {
			k.move("reported_suspended", suspended)
		}
	}
	k.note(r, means)
	if !r.claimed.IsZero() && !k.same(before) { // what says nothing new leaves nothing behind
		k.at = r.claimed
	}
}

// displace is the answer to a cluster that has no room: away from it.
func (k *instance) displace() {
	k.move("rejected_full", provisioning)
	if !slices.Contains(k.excluded, k.cluster) {
		k.excluded = append(k.excluded, k.cluster)
	}
	k.cluster, k.routes, k.synced, k.class, k.at = "", "", false, "", time.Time{}
}

// runs is what a report of a workload brings, ready or not yet.
func (k *instance) runs(r report, isReady bool) {
	if routes, good := r.said.routes(r.from); good && k.routes == "" {
		for _, route := range routes {
			name := k.host()
			if route.Prefix != "" {
				name = route.Prefix + "-" + name
			}
			k.routes += name + ">" + route.Router + " "
		}
	}
	if !isReady || k.status == suspending || k.status == suspended {
		return
	}
	if r.said.admin() != "" {
		k.admin = r.said.admin()
	}
	if k.synced {
		k.becomeReady()
	}
}

func (k *instance) becomeReady() {
	if k.status == provisioning || k.status == resuming || k.status == failed {
		k.move("became_ready", ready)
		k.failure, k.detail, k.excluded = false, "", nil
	}
}

// note is what every believed report leaves behind.
func (k *instance) note(r report, means string) {
	if v := r.said.versions(); v != nil {
		k.kafka, k.ibp = v.Kafka, v.KafkaIbp
		if v.Strimzi != "" {
			k.strimzi = v.Strimzi
		}
	}
	if !r.said.phrase().silent {
		k.upgrade = r.said.phrase().upgrading
	}
	k.class = means
}

// same tells whether nothing changed but the time.
func (k instance) same(before instance) bool {
	return len(k.differences(before)) == 0
}

// differences tells in what another is different. Of what is on its way out only
// the way counts.
func (k instance) differences(o instance) []string {
	var out []string
	differ := func(what string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			out = append(out, fmt.Sprintf("%s: %v, not %v", what, a, b))
		}
	}
	differ("status", k.status, o.status)
	differ("events", k.events, o.events)
	differ("owner", k.owner, o.owner)
	if k.status == ending && o.status == ending {
		return out
	}
	differ("cluster", k.cluster, o.cluster)
	differ("reauthentication", k.reauth, o.reauth)
	differ("routes", k.routes, o.routes)
	differ("routes in sync", k.synced, o.synced)
	differ("admin server", k.admin, o.admin)
	differ("versions", []string{k.kafka, k.strimzi, k.ibp, k.upgrade}, []string{o.kafka, o.strimzi, o.ibp, o.upgrade})
	differ("failure", k.failure, o.failure)
	differ("detail", k.detail, o.detail)
	differ("class", k.class, o.class)
	differ("excluded", sorted(k.excluded), sorted(o.excluded))
	if !k.at.Equal(o.at) {
		out = append(out, fmt.Sprintf("last report: %s, not %s", k.at, o.at))
	}
	return out
}

func sorted(texts []string) []string { return slices.Sorted(slices.Values(texts)) }

// settle is what the loops do by themselves. usable are the clusters that take
// instances, oldest first.
func (k *instance) settle(usable []string) {
	if k.status == provisioning && k.cluster == "" {
		for _, c := range usable {
			if !slices.Contains(k.excluded, c) {
				k.cluster = c
				k.move("reassigned", provisioning)
				break
			}
		}
	}
	if k.routes != "" && !k.synced && !k.leaving() {
		k.synced = true
		if k.class == meansReady {
			k.becomeReady()
		}
	}
	if k.status == deprovision && k.cluster == "" {
		k.move("never_placed", ending)
	}
}

// What customers and administrators ask for. Each gives the status of the reply.

func (k *instance) remove() int {
	if !k.leaving() {
		k.move("delete_asked", deprovision)
	}
	return 202
}

func (k *instance) change(owner string, reauth bool) int {
	if owner == k.owner && reauth == k.reauth {
		return 200
	}
	if k.leaving() {
		return 400
	}
	k.owner, k.reauth = owner, reauth
	return 200
}
