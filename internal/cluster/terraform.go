package cluster

import (
	"slices"

	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// Kinds of external resources that a cluster owns, and who owns them in the ledger.
const (
	OwnerKind     = "cluster"
	KindSSOClient = "sso_client"
	KindAddon     = "addon"
)

// What providers call a cluster and an add-on that can be used, and ones that never will be.
const (
	usable        = "ready"
	installFailed = "error"
	addonFailed   = "failed"
)

// Plan is what a work loop does next with a cluster.
type Plan struct {
	Event  Event // zero: stay
	Set    Columns
	Reason string
	Wait   string // what is waited for; empty: nothing is
}

// AgentClientID is the SSO client by which the agent of a cluster logs in.
func AgentClientID(clusterID string) string { return "kas-fleetshard-agent-" + clusterID }

// addonKey names the installation of an add-on among all clusters.
func addonKey(clusterID, addonID string) string { return clusterID + "/" + addonID }

// Intents are the external things that a cluster in use has: the SSO client of
// its agent, and its add-ons.
func Intents(c Cluster, addonIDs ...string) []ledger.Intent {
	own := func(kind, key string) ledger.Intent {
		return ledger.Intent{OwnerKind: OwnerKind, OwnerID: string(c.ID), Kind: kind, Key: key}
	}
	out := []ledger.Intent{own(KindSSOClient, AgentClientID(c.ProviderID()))}
	for _, id := range addonIDs {
		out = append(out, own(KindAddon, addonKey(c.ProviderID(), id)))
	}
	return out
}

// Unrecorded tells whether one of the intents has to be recorded before its effect.
func Unrecorded(wanted, have []ledger.Intent) bool {
	return slices.ContainsFunc(wanted, func(w ledger.Intent) bool {
		return !slices.ContainsFunc(have, func(h ledger.Intent) bool {
			return h.Kind == w.Kind && h.Key == w.Key && (h.State == ledger.Wanted || h.State == ledger.Created)
		})
	})
}

// Installation is what the provider says of a cluster.
type Installation struct{ State, ExternalID, Problem string }

// PlanInstall says what follows from what the provider says of a cluster that is
// being installed.
func PlanInstall(c Cluster, seen Installation) Plan {
	switch seen.State {
	case usable:
		plan := Plan{Event: InstallFinished, Reason: "the provider reports it ready", Set: Columns{}}
		if c.ExternalID == "" && seen.ExternalID != "" { // the first one stays, agents and metrics may know it
			plan.Set["external_id"] = seen.ExternalID
		}
		return plan
	case installFailed:
		reason := seen.Problem
		if reason == "" {
			reason = "the provider gave no reason"
		}
		return Plan{Event: InstallFailed, Reason: reason, Set: Columns{"status_details": reason}}
	}
	return Plan{Wait: "the provider reports it " + seen.State}
}

// Addon is what the provider says of an add-on.
type Addon struct{ ID, State string }

// Failed tells whether the installation was given up.
func (a Addon) Failed() bool { return a.State == addonFailed }

// PlanAddons says what follows from the states of a cluster's add-ons. One that
// failed is shown and looked at again: somebody may repair it.
func PlanAddons(c Cluster, addons []Addon) Plan {
	plan, details := Plan{Set: Columns{}}, ""
	for _, a := range addons {
		switch {
		case a.Failed():
			details = "add-on " + a.ID + " is in state " + a.State
			plan.Wait = details
		case a.State != usable && plan.Wait == "":
			plan.Wait = "add-on " + a.ID + " is in state " + a.State
		}
	}
	if details != c.StatusDetails {
		plan.Set["status_details"] = details
	}
	if plan.Wait == "" && c.Status == Provisioned {
		plan.Event, plan.Reason = TerraformFinished, "all add-ons are ready"
	}
	return plan
}
