package kafka

import (
	"maps"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
)

// Kinds of external resources that an instance owns, and who owns them in the ledger.
const (
	OwnerKind     = "kafka"
	KindSSOClient = "sso_client"
	KindDNSRecord = "dns_record"
	// KindSubscription is quota that accounts management reserved.
	KindSubscription = "ams_subscription"
)

// RecordTTL is the life of a DNS record in caches, in seconds.
const RecordTTL = 300

// SessionLifetime is after which time a client has to prove again who it is.
const SessionLifetime = 299 * time.Second

// Plan is what a work loop does next with an instance.
type Plan struct {
	Ensure []ledger.Intent // external things that must exist before going on
	Event  Event           // zero: stay
	Set    Columns
	Reason string
}

// Change is the plan's transition, as a loop makes it.
func (p Plan) Change(now time.Time) Change {
	return Change{Event: p.Event, Actor: ByLoop, Set: p.Set, Reason: p.Reason, Now: now}
}

// PrepareFacts is what preparing an instance needs to know besides the row.
type PrepareFacts struct {
	Domain       string // the service's own DNS domain
	ClusterDNS   string
	CNAMEs       bool
	SSO          bool // instances authenticate at the SSO, so each has a canary client
	NewPlacement string
	Now          time.Time
}

// PlanPrepare says what must exist outside before the agent may take over, and
// what the row shows from then on.
func PlanPrepare(k Kafka, f PrepareFacts) Plan {
	plan := Plan{
		Event:  Prepared,
		Reason: "host name and SSO client exist",
		Set: Columns{
			"namespace":                      namespaceOf(k.ID),
			"bootstrap_server_host":          bootstrapHost(k, f.Domain, f.ClusterDNS, f.CNAMEs),
			"kafkas_routes_base_domain_name": f.Domain,
			"placement_id":                   f.NewPlacement,
		},
	}
	if f.SSO {
		plan.Ensure = []ledger.Intent{{OwnerKind: OwnerKind, OwnerID: string(k.ID), Kind: KindSSOClient, Key: CanaryClientID(k.ID)}}
	}
	return plan
}

// PlanAssign binds an unassigned instance to a cluster: the first time, or
// again after a full cluster rejected it. A new assignment is a new placement,
// or an agent that still holds the rejected one would reject it for ever.
func PlanAssign(k Kafka, c Candidate, f PrepareFacts) Plan {
	set := Columns{
		"cluster_id":                c.ClusterID,
		"desired_strimzi_version":   c.Versions.Strimzi,
		"desired_kafka_version":     c.Versions.Kafka,
		"desired_kafka_ibp_version": c.Versions.IBP,
	}
	if k.Status == Accepted {
		return Plan{Event: Placed, Set: set, Reason: "placed on cluster " + c.ClusterID}
	}
	set["placement_id"] = f.NewPlacement
	set["bootstrap_server_host"] = bootstrapHost(k, f.Domain, c.DNS, f.CNAMEs)
	return Plan{Event: Reassigned, Set: set, Reason: "placed again on cluster " + c.ClusterID}
}

// versionPatience is how long an accepted instance waits for its cluster to have
// a usable version; waiting for a cluster may take the whole deadline.
const versionPatience = 5 * time.Minute

// PlanFailure says how an instance ends whose status lasted too long, and
// whether it has.
func PlanFailure(k Kafka, code FailedCode, reason string, now time.Time) (Plan, bool) {
	impatient := code == FailedNoVersion && now.Sub(k.StatusChangedAt) >= versionPatience
	if !impatient && !k.overdue(now) {
		return Plan{}, false
	}
	return failure(k.Status.Info().OnDeadline, code, reason, k.LastError), true
}

// PlanRefusal ends an instance at once: an upstream said no, and asking again would not help.
func PlanRefusal(reason, detail string) Plan {
	return failure(PrepareFailed, FailedPreparing, reason, detail)
}

func failure(event Event, code FailedCode, reason, detail string) Plan {
	return Plan{Event: event, Reason: reason, Set: Columns{
		"failed_code": code, "failed_reason": reason, "failed_detail": detail,
	}}
}

// PlanRoutesCreated says what changes when the DNS records of an instance are
// in sync: if the agent has already said ready, the instance is.
func PlanRoutesCreated(k Kafka) Plan {
	plan := Plan{Set: Columns{"routes_created": true}}
	if k.ReportedClass == ClassReady && k.mayBecomeReady() {
		plan.Event, plan.Reason = BecameReady, "routes exist and the agent had reported ready"
		maps.Copy(plan.Set, readyColumns())
	}
	return plan
}

// PlanRetire says what is left to do for an instance that is on its way out:
// close its intents, newest first, then erase the row.
func PlanRetire(k Kafka, have []ledger.Intent) (open []ledger.Intent, plan Plan) {
	if k.Status == Deprovision {
		if k.BootstrapServerHost != "" && k.ClusterID != "" {
			return nil, Plan{} // the agent has it and must let go first
		}
		return nil, Plan{Event: NeverPlaced, Reason: "no agent has it"}
	}
	for i := len(have) - 1; i >= 0; i-- {
		if have[i].State != ledger.Gone {
			open = append(open, have[i])
		}
	}
	if len(open) > 0 {
		return open, Plan{}
	}
	return nil, Plan{Event: Erased, Reason: "everything outside is removed"}
}
