package kafka

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"
)

// Class is what an agent's report of one instance amounts to.
type Class string

// The classes.
const (
	ClassReady        Class = "ready"
	ClassInstalling   Class = "installing"
	ClassError        Class = "error"
	ClassDeleted      Class = "deleted"
	ClassRejected     Class = "rejected"
	ClassRejectedFull Class = "rejected_cluster_full"
	ClassSuspended    Class = "suspended"
	ClassUnknown      Class = "unknown"
)

// Condition is one condition of a report, as the agent sent it.
type Condition struct{ Type, Reason, Message, Status string }

// ReportedRoute is a route as the agent sent it.
type ReportedRoute struct{ Name, Prefix, Router string }

// Report is what an agent says of one instance.
type Report struct {
	Conditions     []Condition
	KafkaVersion   string
	StrimziVersion string
	IBPVersion     string
	Routes         []ReportedRoute
	AdminServerURI string
	At             *time.Time // the agent's own time; nil when it sent none
}

// ReportFacts is what a verdict on a report needs to know besides the row.
type ReportFacts struct {
	ClusterDNS   string // of the reporting cluster, like apps.x.example
	CNAMEs       bool   // DNS records are written for routes
	NewPlacement string // a fresh placement id, used if the report asks for one
	Now          time.Time
}

// Verdict is what a report changes: nothing, columns, or columns and the status.
type Verdict struct {
	Event   Event  // zero: the status stays
	Reason  string // for the event history and the log
	Set     Columns
	Records Routes // DNS records that have to exist from now on
	Release bool   // the instance gives back its room on the cluster
	Ignored string // why the report, or a part of it, was not believed; for the log
}

// Changes tells whether there is anything to write.
func (v Verdict) Changes() bool { return v.Event != "" || len(v.Set) > 0 }

// publicFailure is all that a customer reads of the agent's error text.
const publicFailure = "Kafka reported as failed from the data plane"

// A rejection is handled once, then its repeats (the agent sends one every
// resync) are ignored for as long as the agent may need to see the new placement.
const rejectionHolds = 90 * time.Second

// A full cluster is not tried again for this long.
const fullHolds = 5 * time.Minute

// Classify folds the conditions of a report into one class. The first "Ready"
// condition that matches anything decides; without one the instance is installing.
func Classify(conditions []Condition) Class {
	for _, c := range conditions {
		if !strings.EqualFold(c.Type, "Ready") {
			continue
		}
		switch {
		// Suspended comes first: while a suspended instance is upgraded the status changes and the reason stays.
		case strings.EqualFold(c.Reason, "Suspended"):
			return ClassSuspended
		case strings.EqualFold(c.Status, "True"):
			return ClassReady
		case strings.EqualFold(c.Status, "Unknown"):
			return ClassUnknown
		case strings.EqualFold(c.Reason, "Installing"):
			return ClassInstalling
		case strings.EqualFold(c.Reason, "Deleted"):
			return ClassDeleted
		case strings.EqualFold(c.Reason, "Error"):
			return ClassError
		case strings.EqualFold(c.Reason, "Rejected"):
			if strings.EqualFold(c.Message, "Cluster has insufficient resources") {
				return ClassRejectedFull
			}
			return ClassRejected
		}
	}
	return ClassInstalling
}

// ReadReport decides what a report means for an instance. Reports are levels,
// not events: the same report twice changes nothing the second time.
func ReadReport(k Kafka, r Report, f ReportFacts) Verdict {
	// A clock that runs ahead must not silence its owner until we catch up.
	r.At, k.ReportedAt = believable(r.At, f.Now), believable(k.ReportedAt, f.Now)
	if r.At != nil && k.ReportedAt != nil && r.At.Before(*k.ReportedAt) {
		return Verdict{Ignored: "older than the report before it"}
	}
	class := Classify(r.Conditions)
	v := Verdict{Set: Columns{}}
	if class == ClassDeleted && !k.Status.InDeletion() {
		return Verdict{Ignored: "reported deleted, but nobody asked for it"}
	}
	switch class {
	case ClassReady, ClassInstalling:
		v.readRunning(k, r, class, f)
	case ClassError:
		v.readError(k, r)
	case ClassDeleted:
		if k.Status == Deprovision {
			v.Event, v.Reason, v.Release = ReportedDeleted, "removed from the data plane", true
		}
	case ClassRejected:
		v.readRejected(k, f)
	case ClassRejectedFull:
		v.readFull(k, f)
	case ClassSuspended:
		if k.Status == Suspending {
			v.Event, v.Reason = ReportedSuspend, "the workload is gone"
		}
	case ClassUnknown:
	}
	if !k.Status.InDeletion() && v.Event != RejectedFull {
		v.readVersions(k, r)
		if class != k.ReportedClass {
			v.Set["reported_class"] = class
		}
	}
	if v.Changes() && r.At != nil && v.Event != RejectedFull {
		v.Set["reported_at"] = *r.At
	}
	return v
}

// clockTolerance is how far ahead of ours an agent's clock may be.
const clockTolerance = time.Minute

func believable(at *time.Time, now time.Time) *time.Time {
	if at != nil && at.After(now.Add(clockTolerance)) {
		return nil
	}
	return at
}

func (v *Verdict) readRunning(k Kafka, r Report, class Class, f ReportFacts) {
	if k.Status.InDeletion() {
		return
	}
	created := k.RoutesCreated
	if k.Routes == nil && len(r.Routes) > 0 {
		routes, err := readRoutes(k, r.Routes, f.ClusterDNS)
		if err != nil {
			v.Ignored = err.Error()
		} else {
			v.Set["routes"] = routes
			if f.CNAMEs {
				v.Records = routes
			} else {
				created = true
				v.Set["routes_created"] = true
			}
		}
	}
	if class != ClassReady || k.Status == Suspending || k.Status == Suspended {
		return
	}
	// Kept on the row now, because it may be the DNS loop that completes the transition.
	if r.AdminServerURI != "" && r.AdminServerURI != k.AdminAPIServerURL {
		v.Set["admin_api_server_url"] = r.AdminServerURI
	}
	if created && k.mayBecomeReady() {
		v.Event, v.Reason = BecameReady, "reported ready and routes exist"
		maps.Copy(v.Set, readyColumns())
	}
}

// mayBecomeReady tells whether the transition table lets the instance become ready.
func (k Kafka) mayBecomeReady() bool {
	return k.Status == Provisioning || k.Status == Resuming || k.Status == Failed
}

func readyColumns() Columns {
	return Columns{"failed_reason": "", "failed_code": FailedCode(""), "failed_detail": "", "placement_exclusions": Exclusions{}}
}

func (v *Verdict) readError(k Kafka, r Report) {
	if k.Status != Provisioning && k.Status != Ready && k.Status != Resuming {
		return
	}
	detail := ""
	for _, c := range r.Conditions {
		if strings.EqualFold(c.Type, "Ready") {
			detail = c.Message
			break
		}
	}
	v.Event, v.Reason = ReportedFailed, "reported an error"
	v.Set["failed_reason"] = publicFailure
	v.Set["failed_code"] = FailedOnDataPlane
	v.Set["failed_detail"] = detail
}

func (v *Verdict) readRejected(k Kafka, f ReportFacts) {
	if k.Status != Provisioning {
		return
	}
	if until, ok := k.PlacementExclusions[k.ClusterID]; ok && until.After(f.Now) {
		v.Ignored = "rejection already answered with a new placement id"
		return
	}
	v.Event, v.Reason = Rejected, "rejected by the cluster"
	v.Set["placement_id"] = f.NewPlacement
	v.Set["placement_exclusions"] = k.PlacementExclusions.with(k.ClusterID, f.Now.Add(rejectionHolds), f.Now)
}

func (v *Verdict) readFull(k Kafka, f ReportFacts) {
	// An enterprise instance belongs on its own cluster and waits there.
	if k.Status != Provisioning || k.OnOwnCluster() {
		return
	}
	v.Event, v.Reason, v.Release = RejectedFull, "the cluster has no room", true
	v.Set = Columns{
		"next_attempt_at": f.Now, // a loop has to place it again at once
		"cluster_id":      "", "bootstrap_server_host": "", "placement_id": "",
		"desired_strimzi_version": "", "desired_kafka_version": "", "desired_kafka_ibp_version": "",
		"routes": Routes(nil), "routes_created": false, "routes_creation_id": "", "routes_attempts": 0, "routes_due_at": nil,
		"reported_class": Class(""), "reported_at": nil, // the next cluster has a clock of its own
		"placement_exclusions": k.PlacementExclusions.with(k.ClusterID, f.Now.Add(fullHolds), f.Now),
	}
}

func (v *Verdict) readVersions(k Kafka, r Report) {
	for column, pair := range map[string][2]string{
		"actual_kafka_version":     {k.ActualKafkaVersion, r.KafkaVersion},
		"actual_strimzi_version":   {k.ActualStrimziVersion, r.StrimziVersion},
		"actual_kafka_ibp_version": {k.ActualKafkaIBPVersion, r.IBPVersion},
	} {
		if pair[1] != "" && pair[0] != pair[1] {
			v.Set[column] = pair[1]
		}
	}
	for _, c := range r.Conditions {
		if !strings.EqualFold(c.Type, "Ready") {
			continue
		}
		for column, pair := range map[string][2]bool{
			"strimzi_upgrading":   {k.StrimziUpgrading, c.Reason == "StrimziUpdating"},
			"kafka_upgrading":     {k.KafkaUpgrading, c.Reason == "KafkaUpdating"},
			"kafka_ibp_upgrading": {k.KafkaIBPUpgrading, c.Reason == "KafkaIbpUpdating"},
		} {
			if pair[0] != pair[1] {
				v.Set[column] = pair[1]
			}
		}
		return
	}
}

// Bounds of what an agent may ask to have written into DNS.
const (
	maxRoutes = 64
	maxLabel  = 63
	maxName   = 253
)

var (
	prefixPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	routerPattern = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*$`)
)

// readRoutes turns reported routes into DNS names. All or nothing: a router
// outside the cluster's own domain would let an agent point our names anywhere.
func readRoutes(k Kafka, reported []ReportedRoute, clusterDNS string) (Routes, error) {
	base := strings.TrimPrefix(clusterDNS, "apps.")
	if len(reported) > maxRoutes {
		return nil, fmt.Errorf("reading routes: %d are more than %d", len(reported), maxRoutes)
	}
	routes := make(Routes, 0, len(reported))
	seen := map[string]bool{}
	for _, r := range reported {
		label, _, _ := strings.Cut(routeDomain(r.Prefix, k.BootstrapServerHost), ".")
		if r.Prefix != "" && !prefixPattern.MatchString(r.Prefix) || len(label) > maxLabel || seen[r.Prefix] {
			return nil, fmt.Errorf("reading routes: prefix %.80q makes no DNS name of its own", r.Prefix)
		}
		seen[r.Prefix] = true
		inside := base != "" && (r.Router == base || strings.HasSuffix(r.Router, "."+base))
		if !inside || len(r.Router) > maxName || !routerPattern.MatchString(r.Router) {
			return nil, fmt.Errorf("reading routes: router %.80q is no name inside the cluster's domain %q", r.Router, base)
		}
		routes = append(routes, Route{Domain: routeDomain(r.Prefix, k.BootstrapServerHost), Router: r.Router})
	}
	return routes, nil
}
