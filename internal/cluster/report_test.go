package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

func operator(version string) ReportedOperator {
	return ReportedOperator{Version: version, Ready: true, KafkaVersions: []string{"3.3.1", "2.8.2"}, KafkaIBPVersions: []string{"3.3", "2.8"}}
}

func ready(status string) []Condition { return []Condition{{Type: "Ready", Status: status}} }

func fullReport() Report {
	return Report{Conditions: ready("True"), Strimzi: []ReportedOperator{operator("so.v0.30.0-2"), operator("so.v0.23.0-4")}}
}

func verdict(t *testing.T, c Cluster, r Report) Verdict {
	t.Helper()
	versions, err := r.Versions()
	require.NoError(t, err)
	return ReadReport(c, r, versions)
}

func TestVersionsAreSortedDeeply(t *testing.T) {
	t.Parallel()
	got, err := fullReport().Versions()
	require.NoError(t, err)
	kafka, ibp := names("2.8.2", "3.3.1"), names("2.8", "3.3")
	require.Equal(t, StrimziVersions{{"so.v0.23.0-4", true, kafka, ibp}, {"so.v0.30.0-2", true, kafka, ibp}}, got)
	strimzi, newest, newestIBP := got.LatestReady()
	require.Equal(t, []string{"so.v0.30.0-2", "3.3.1", "3.3"}, []string{strimzi, newest, newestIBP})
}

func TestBadVersionsAreRefusedByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(*ReportedOperator)
		code   apierr.Code
		reason string
	}{
		"no version":          {func(o *ReportedOperator) { o.Version = "" }, apierr.FieldInvalid, ".status.strimzi[1].version"},
		"no kafka":            {func(o *ReportedOperator) { o.KafkaVersions = nil }, apierr.FieldInvalid, ".status.strimzi[1].kafkaVersions"},
		"no ibp":              {func(o *ReportedOperator) { o.KafkaIBPVersions = []string{} }, apierr.FieldInvalid, ".status.strimzi[1].kafkaIbpVersions"},
		"unreadable version":  {func(o *ReportedOperator) { o.Version = "latest" }, apierr.Validation, ".status.strimzi[1].version"},
		"unreadable kafka":    {func(o *ReportedOperator) { o.KafkaVersions = []string{"three"} }, apierr.Validation, ".status.strimzi[1].kafkaVersions"},
		"unreadable ibp":      {func(o *ReportedOperator) { o.KafkaIBPVersions = []string{"%d"} }, apierr.Validation, `"%d"`},
		"an empty one inside": {func(o *ReportedOperator) { o.KafkaVersions = []string{""} }, apierr.Validation, ".status.strimzi[1].kafkaVersions"},
	} {
		r := fullReport()
		c.spoil(&r.Strimzi[1])
		_, err := r.Versions()
		require.True(t, apierr.Is(err, c.code), name)
		require.Contains(t, err.Error(), c.reason, name)
	}
	_, err := Report{Strimzi: []ReportedOperator{operator("alone")}}.Versions()
	require.True(t, apierr.Is(err, apierr.Validation), "a single one is checked too, though there is nothing to compare it with")
}

func TestOnlyATrueReadyIsReady(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]bool{"True": true, "true": true, "1": true, "False": false, "Unknown": false, "": false} {
		require.Equal(t, want, Report{Conditions: ready(status)}.Ready(), status)
	}
	require.False(t, Report{Conditions: []Condition{{Type: "ready", Status: "True"}}}.Ready(), "the type is compared exactly")
	require.False(t, Report{Conditions: append(ready("False"), ready("True")...)}.Ready(), "the first one decides")
	require.False(t, Report{}.Ready())
}

func TestReportMovesBetweenWaitingAndReady(t *testing.T) {
	t.Parallel()
	v := verdict(t, Cluster{Status: WaitingForAgent}, fullReport())
	require.Equal(t, AgentReady, v.Event)
	require.Contains(t, v.Set, "available_strimzi_versions")

	unready := fullReport()
	unready.Conditions = ready("Unknown")
	v = verdict(t, Cluster{Status: Ready}, unready)
	require.Equal(t, AgentNotReady, v.Event)
	require.Empty(t, v.Set, "an agent that is not ready is not believed in anything else")
	require.False(t, verdict(t, Cluster{Status: WaitingForAgent}, unready).Changes())

	for _, info := range Statuses() {
		if !info.Status.reports() {
			require.False(t, verdict(t, Cluster{Status: info.Status}, fullReport()).Changes(), info.Status)
		}
	}
}

func TestUnchangedReportChangesNothing(t *testing.T) {
	t.Parallel()
	versions, err := fullReport().Versions()
	require.NoError(t, err)
	c := Cluster{Status: Ready, AvailableStrimziVersions: versions, DynamicCapacityInfo: Capacities{"standard": {MaxNodes: 9, MaxUnits: 3, RemainingUnits: 1}}}
	r := fullReport()
	r.Capacity = map[string]ReportedCapacity{"standard": {3, 1}, "developer": {5, 5}}
	require.False(t, verdict(t, c, r).Changes())
	r.Strimzi = nil
	require.False(t, verdict(t, c, r).Changes(), "an agent that knows no operator yet takes nothing back")

	r = fullReport()
	r.Strimzi[0].Ready = false
	require.Contains(t, verdict(t, c, r).Set, "available_strimzi_versions")
}

func TestCapacityIsTakenForKnownTypesOnly(t *testing.T) {
	t.Parallel()
	c := Cluster{Status: Ready, DynamicCapacityInfo: Capacities{"standard": {MaxNodes: 9}, "developer": {MaxNodes: 3, MaxUnits: 7}}}
	v := verdict(t, c, Report{Conditions: ready("true"), Capacity: map[string]ReportedCapacity{"standard": {3, 2}, "other": {1, 1}}})
	require.Equal(t, Columns{"dynamic_capacity_info": Capacities{
		"standard": {MaxNodes: 9, MaxUnits: 3, RemainingUnits: 2}, "developer": {MaxNodes: 3, MaxUnits: 7},
	}}, v.Set)
	require.Equal(t, Capacity{MaxNodes: 9}, c.DynamicCapacityInfo["standard"], "the row that was read stays as it is")
}

func TestHeartbeatIsNotStoredMoreOftenThanNeeded(t *testing.T) {
	t.Parallel()
	require.True(t, Cluster{}.beats(noon))
	recent, old := noon.Add(-19*time.Second), noon.Add(-20*time.Second)
	require.False(t, Cluster{HeartbeatAt: &recent}.beats(noon))
	require.True(t, Cluster{HeartbeatAt: &old}.beats(noon))
}
