package cluster

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// Condition is one condition of a report, as the agent sent it.
type Condition struct{ Type, Status string }

// ReportedOperator is one Strimzi operator of a report.
type ReportedOperator struct {
	Version          string
	Ready            bool
	KafkaVersions    []string
	KafkaIBPVersions []string
}

// ReportedCapacity is the room of one instance type in a report.
type ReportedCapacity struct{ MaxUnits, RemainingUnits int32 }

// Report is what an agent says of its cluster.
type Report struct {
	Conditions []Condition
	Strimzi    []ReportedOperator
	Capacity   map[string]ReportedCapacity // by instance type
}

// Verdict is what a report changes: nothing, columns, or columns and the status.
type Verdict struct {
	Event  Event // zero: the status stays
	Reason string
	Set    Columns
}

// Changes tells whether there is anything to write.
func (v Verdict) Changes() bool { return v.Event != "" || len(v.Set) > 0 }

// heartbeatGap is how fresh the stored heartbeat is kept; agents report about once a minute.
const heartbeatGap = 20 * time.Second

// beats tells whether it is time to store a heartbeat.
func (c Cluster) beats(now time.Time) bool {
	return c.HeartbeatAt == nil || now.Sub(*c.HeartbeatAt) >= heartbeatGap
}

// Ready tells whether the report says so. The first condition named exactly
// "Ready" decides; whatever is not a true, "Unknown" included, means not ready.
func (r Report) Ready() bool {
	for _, c := range r.Conditions {
		if c.Type == "Ready" {
			ready, err := strconv.ParseBool(c.Status)
			return err == nil && ready
		}
	}
	return false
}

// Versions checks the operators of the report one by one and puts them, and what
// each can run, in order. Its errors are the catalogue's.
func (r Report) Versions() (StrimziVersions, error) {
	out := make(StrimziVersions, 0, len(r.Strimzi))
	for i, s := range r.Strimzi {
		field := func(name string) string { return ".status.strimzi[" + strconv.Itoa(i) + "]." + name }
		switch {
		case s.Version == "":
			return nil, empty(field("version"))
		case len(s.KafkaVersions) == 0:
			return nil, empty(field("kafkaVersions"))
		case len(s.KafkaIBPVersions) == 0:
			return nil, empty(field("kafkaIbpVersions"))
		}
		if _, ok := parseOperator(s.Version); !ok {
			return nil, unreadable(field("version"), s.Version)
		}
		kafka, err := versionNames(field("kafkaVersions"), s.KafkaVersions)
		if err != nil {
			return nil, err
		}
		ibp, err := versionNames(field("kafkaIbpVersions"), s.KafkaIBPVersions)
		if err != nil {
			return nil, err
		}
		out = append(out, StrimziVersion{Version: s.Version, Ready: s.Ready, KafkaVersions: kafka, KafkaIBPVersions: ibp})
	}
	sortOperators(out)
	return out, nil
}

func versionNames(field string, texts []string) ([]VersionName, error) {
	out := make([]VersionName, 0, len(texts))
	for _, text := range texts {
		if _, ok := parseVersion(text); !ok {
			return nil, unreadable(field, text)
		}
		out = append(out, VersionName{Version: text})
	}
	sortVersions(out)
	return out, nil
}

func empty(field string) error { return apierr.New(apierr.FieldInvalid, field+" must not be empty") }

func unreadable(field, text string) error {
	return apierr.Newf(apierr.Validation, "%s holds %q, which is no version", field, text)
}

// ReadReport decides what a report means for its cluster. versions are those of
// the report, in order. Reports are levels, not events: the same report twice
// changes nothing the second time.
func ReadReport(c Cluster, r Report, versions StrimziVersions) Verdict {
	switch {
	case !c.Status.reports():
		return Verdict{}
	case !r.Ready() && c.Status == Ready:
		return Verdict{Event: AgentNotReady, Reason: "the agent reports not ready"}
	case !r.Ready():
		return Verdict{}
	}
	v := Verdict{Set: Columns{}}
	if capacity := c.DynamicCapacityInfo.with(r.Capacity); !maps.Equal(capacity, c.DynamicCapacityInfo) {
		v.Set["dynamic_capacity_info"] = capacity
	}
	// An agent that restarts knows no operator for a while; that takes nothing back.
	if len(versions) > 0 && !c.AvailableStrimziVersions.equal(versions) {
		v.Set["available_strimzi_versions"] = versions
	}
	if c.Status == WaitingForAgent {
		v.Event, v.Reason = AgentReady, "the agent reports ready"
	}
	return v
}

// with gives the rooms with the reported units. Only types that are known count:
// which types a cluster offers is ours to say.
func (c Capacities) with(reported map[string]ReportedCapacity) Capacities {
	out := maps.Clone(c)
	for name, room := range c {
		if r, ok := reported[name]; ok {
			room.MaxUnits, room.RemainingUnits = r.MaxUnits, r.RemainingUnits
			out[name] = room
		}
	}
	return out
}

func (s StrimziVersions) equal(other StrimziVersions) bool {
	return slices.EqualFunc(s, other, func(a, b StrimziVersion) bool {
		return a.Version == b.Version && a.Ready == b.Ready &&
			slices.Equal(a.KafkaVersions, b.KafkaVersions) && slices.Equal(a.KafkaIBPVersions, b.KafkaIBPVersions)
	})
}
