package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const insufficientResources = "Cluster has insufficient resources"

// statusOf gives the report on an instance, without time stamps; it needs the lock.
func (a *Agent) statusOf(i *instance) Status {
	s := Status{Conditions: []Condition{a.ready(i)}, Routes: []Route{}}
	if i.wasReady {
		s.Routes = a.routes()
	}
	ready := s.Conditions[0]
	if i.wasReady && (ready.Status == "True" || ready.Reason == "Suspended") {
		versions, capacity := i.kafka.Spec.Versions, i.kafka.Spec.Capacity
		s.Versions, s.Capacity = &versions, &capacity
		s.AdminServerURI = "https://admin-server-" + i.kafka.Spec.Endpoint.BootstrapServerHost
	}
	return s
}

// ready gives the one condition that the fleet manager reads.
func (a *Agent) ready(i *instance) Condition {
	fate := a.conduct.fateOf(i.kafka.ID)
	switch {
	case i.kafka.Spec.Deleted && i.hasParts():
		return condition("Unknown", "Deleted", "")
	case i.kafka.Spec.Deleted:
		return condition("False", "Deleted", "")
	case i.phase == rejected && i.noRoom:
		return condition("False", "Rejected", insufficientResources)
	case i.phase == rejected:
		return condition("False", "Rejected", "the instance does not fit this cluster")
	case !a.supports(i.kafka.Spec.Versions):
		return condition("False", "Error", "the wanted versions are not supported")
	case fate == Broken:
		return condition("False", "Error", "the brokers keep crashing")
	case i.trouble != "":
		return condition("False", "Error", i.trouble)
	case i.kafka.suspended():
		return condition("False", "Suspended", "")
	case i.phase != running || fate == Stuck:
		return condition("False", "Installing", "")
	}
	return condition("True", "", "")
}

// routes names the router of every host prefix, sorted by name.
func (a *Agent) routes() []Route {
	base := strings.TrimPrefix(a.cfg.ClusterDNS, "apps.")
	routes := []Route{
		{Name: "admin-server", Prefix: "admin-server", Router: "kas." + base},
		{Name: "bootstrap", Prefix: "", Router: "kas." + base},
	}
	for n := range a.cfg.Brokers {
		name := "broker-" + strconv.Itoa(n)
		router := fmt.Sprintf("kas-%s.%s", a.cfg.Zones[n%len(a.cfg.Zones)], base)
		routes = append(routes, Route{Name: name, Prefix: name, Router: router})
	}
	slices.SortFunc(routes, func(x, y Route) int { return strings.Compare(x.Name, y.Name) })
	return routes
}

// supports says whether the cluster runs the versions.
func (a *Agent) supports(v Versions) bool {
	return slices.ContainsFunc(a.cfg.Strimzi, func(s Strimzi) bool {
		return s.Version == v.Strimzi && slices.Contains(s.KafkaVersions, v.Kafka) &&
			(v.KafkaIbp == "" || slices.Contains(s.KafkaIbpVersions, v.KafkaIbp))
	})
}

// units gives what the cluster holds of every type that the fleet manager limits.
func (a *Agent) units() map[string]Units {
	if a.settings == nil {
		return nil
	}
	units := map[string]Units{}
	for name, limit := range a.settings.Spec.Capacity {
		if limit.MaxNodes > 0 {
			most := limit.MaxNodes / max(a.cfg.NodesPerUnit[name], 1)
			units[name] = Units{MaxUnits: most, RemainingUnits: most}
		}
	}
	for _, i := range a.instances {
		u, limited := units[typeOf(i.kafka)]
		if limited && i.hasParts() && !i.kafka.reserved() {
			u.RemainingUnits = max(u.RemainingUnits-quotaOf(i.kafka), 0)
			units[typeOf(i.kafka)] = u
		}
	}
	return units
}

// hasRoom says whether a new instance fits. A type without a limit always does.
func (a *Agent) hasRoom(i *instance) bool {
	u, limited := a.units()[typeOf(i.kafka)]
	return !limited || i.kafka.reserved() || quotaOf(i.kafka) <= u.RemainingUnits
}

// clusterStatus gives the report on the cluster; it needs the lock.
func (a *Agent) clusterStatus() ClusterStatus {
	now := a.stamp()
	ready := condition("True", "", "")
	if a.unhealthy || len(a.cfg.Strimzi) == 0 {
		ready = condition("False", "Installing", "")
	}
	ready.LastTransitionTime = now
	return ClusterStatus{
		Conditions: []Condition{ready}, Strimzi: a.cfg.Strimzi, Capacity: a.units(), UpdatedTimestamp: now,
	}
}

func condition(status, reason, message string) Condition {
	return Condition{Type: "Ready", Status: status, Reason: reason, Message: message}
}

// stamped puts one time on a status and all its conditions.
func stamped(s Status, at string) Status {
	s.Conditions = slices.Clone(s.Conditions)
	for n := range s.Conditions {
		s.Conditions[n].LastTransitionTime = at
	}
	s.UpdatedTimestamp = at
	return s
}

func unstamped(s Status) Status { return stamped(s, "") }

func typeOf(k ManagedKafka) string {
	if name := k.Metadata.Labels[labelType]; name != "" {
		return name
	}
	return "standard"
}

func quotaOf(k ManagedKafka) int {
	if n, err := strconv.Atoi(k.Metadata.Labels[labelQuota]); err == nil {
		return n
	}
	return 1
}
