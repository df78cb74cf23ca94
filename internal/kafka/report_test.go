package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func conditions(status, reason, message string) []Condition {
	return []Condition{{Type: "Ready", Status: status, Reason: reason, Message: message}}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   []Condition
		want Class
	}{
		"ready":                          {conditions("True", "", ""), ClassReady},
		"any case":                       {[]Condition{{Type: "READY", Status: "true"}}, ClassReady},
		"suspended beats ready":          {conditions("True", "Suspended", ""), ClassSuspended},
		"unknown beats deleted":          {conditions("Unknown", "Deleted", ""), ClassUnknown},
		"deleted without a status":       {conditions("", "Deleted", ""), ClassDeleted},
		"error":                          {conditions("False", "Error", "boom"), ClassError},
		"rejected":                       {conditions("False", "Rejected", "no"), ClassRejected},
		"full":                           {conditions("False", "Rejected", "cluster has insufficient resources"), ClassRejectedFull},
		"installing":                     {conditions("False", "Installing", ""), ClassInstalling},
		"upgrading":                      {conditions("True", "StrimziUpdating", ""), ClassReady},
		"nothing":                        {nil, ClassInstalling},
		"other reason":                   {conditions("False", "Whatever", ""), ClassInstalling},
		"first that says anything":       {append(conditions("False", "?", ""), conditions("False", "Error", "")...), ClassError},
		"other conditions do not matter": {[]Condition{{Type: "StrimziBundleReady", Status: "True"}}, ClassInstalling},
	} {
		require.Equal(t, c.want, Classify(c.in), name)
	}
}

func provisioned() Kafka {
	return Kafka{ID: "k1", Status: Provisioning, ClusterID: "c1", BootstrapServerHost: "k-k1.kafka.test", Version: 3}
}

func facts() ReportFacts {
	return ReportFacts{ClusterDNS: "apps.c1.example.test", CNAMEs: true, NewPlacement: "p2", Now: noon}
}

func readyReport() Report {
	return Report{
		Conditions: conditions("True", "", ""), AdminServerURI: "https://admin", KafkaVersion: "3.3.1",
		Routes: []ReportedRoute{{"bootstrap", "", "kas.c1.example.test"}, {"admin-server", "admin-server", "kas.c1.example.test"}},
	}
}

func TestReadyWaitsForItsRoutes(t *testing.T) {
	t.Parallel()
	v := ReadReport(provisioned(), readyReport(), facts())
	require.Empty(t, v.Event, "the records do not exist yet")
	require.Len(t, v.Records, 2)
	require.Equal(t, "admin-server-k-k1.kafka.test", v.Records[1].Domain)
	require.Equal(t, ClassReady, v.Set["reported_class"])

	k := provisioned()
	k.Routes, k.RoutesCreated = v.Records, true
	v = ReadReport(k, readyReport(), facts())
	require.Equal(t, BecameReady, v.Event)
	require.Equal(t, "", v.Set["failed_reason"])
}

func TestReadyAtOnceWhereNoRecordsAreWritten(t *testing.T) {
	t.Parallel()
	f := facts()
	f.CNAMEs = false
	v := ReadReport(provisioned(), readyReport(), f)
	require.Equal(t, BecameReady, v.Event)
	require.Equal(t, true, v.Set["routes_created"])
	require.Empty(t, v.Records)
}

func TestRoutesOutsideTheClusterAreRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	for _, router := range []string{
		"evil.test", "evilc1.example.test", "", "a b.c1.example.test", "a\x00.c1.example.test", "..c1.example.test",
		strings.Repeat("a.", 200) + "c1.example.test",
	} {
		r := readyReport()
		r.Routes = append(r.Routes, ReportedRoute{"x", "broker-0", router})
		v := ReadReport(provisioned(), r, facts())
		require.NotContains(t, v.Set, "routes")
		require.Contains(t, v.Ignored, "no name inside", router)
	}
}

func TestDeleteIsNeverUndone(t *testing.T) {
	t.Parallel()
	for _, status := range []Status{Deprovision, Deleting} {
		k := provisioned()
		k.Status = status
		for _, c := range [][]Condition{
			conditions("True", "", ""), conditions("False", "Error", ""), conditions("False", "Rejected", "Cluster has insufficient resources"),
			conditions("False", "Suspended", ""), conditions("False", "Installing", ""), conditions("Unknown", "Deleted", ""), nil,
		} {
			r := readyReport()
			r.Conditions = c
			require.False(t, ReadReport(k, r, facts()).Changes(), "%s %v", status, c)
		}
	}
}

func TestDeletedCountsOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	r := Report{Conditions: conditions("", "Deleted", ""), KafkaVersion: "9"}
	k := provisioned()
	k.Status = Deprovision
	v := ReadReport(k, r, facts())
	require.Equal(t, ReportedDeleted, v.Event)
	require.True(t, v.Release)
	k.Status = Ready
	v = ReadReport(k, r, facts())
	require.False(t, v.Changes())
	require.NotEmpty(t, v.Ignored)
}

func TestErrorHidesItsTextFromCustomers(t *testing.T) {
	t.Parallel()
	v := ReadReport(provisioned(), Report{Conditions: conditions("False", "Error", "pod xyz on node 10.0.0.1")}, facts())
	require.Equal(t, ReportedFailed, v.Event)
	require.Equal(t, publicFailure, v.Set["failed_reason"])
	require.Equal(t, "pod xyz on node 10.0.0.1", v.Set["failed_detail"])
	for _, status := range []Status{Suspending, Suspended, Failed} {
		k := provisioned()
		k.Status = status
		require.Empty(t, ReadReport(k, Report{Conditions: conditions("False", "Error", "x")}, facts()).Event)
	}
}

func TestSuspendedInstanceIgnoresReady(t *testing.T) {
	t.Parallel()
	k := provisioned()
	k.Status, k.RoutesCreated, k.Routes = Suspending, true, Routes{}
	require.Empty(t, ReadReport(k, readyReport(), facts()).Event)
	require.Equal(t, ReportedSuspend, ReadReport(k, Report{Conditions: conditions("False", "Suspended", "")}, facts()).Event)
}

// Window 12: each repeat of a rejection once burnt another placement id.
func TestWindow12RejectionIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	k := provisioned()
	r := Report{Conditions: conditions("False", "Rejected", "no")}
	v := ReadReport(k, r, facts())
	require.Equal(t, Rejected, v.Event)
	require.Equal(t, "p2", v.Set["placement_id"])
	k.PlacementExclusions = v.Set["placement_exclusions"].(Exclusions)
	k.ReportedClass = ClassRejected
	require.False(t, ReadReport(k, r, facts()).Changes(), "the repeat of the same rejection")
	f := facts()
	f.Now = noon.Add(rejectionHolds + time.Second)
	require.Equal(t, Rejected, ReadReport(k, r, f).Event, "rejected again after the agent saw the new placement")
}

func TestFullClusterClearsAllThatIsBoundToIt(t *testing.T) {
	t.Parallel()
	k := provisioned()
	v := ReadReport(k, Report{Conditions: conditions("False", "Rejected", "Cluster has insufficient resources"), KafkaVersion: "3"}, facts())
	require.Equal(t, RejectedFull, v.Event)
	require.True(t, v.Release)
	for _, column := range []string{"cluster_id", "bootstrap_server_host", "placement_id", "desired_kafka_version", "routes_creation_id"} {
		require.Equal(t, "", v.Set[column], column)
	}
	require.Equal(t, Routes(nil), v.Set["routes"])
	require.Contains(t, v.Set["placement_exclusions"], "c1")
	k.DesiredKafkaBillingModel = "enterprise"
	require.Empty(t, ReadReport(k, Report{Conditions: conditions("False", "Rejected", "Cluster has insufficient resources")}, facts()).Event)
}

func TestOlderReportIsIgnored(t *testing.T) {
	t.Parallel()
	k := provisioned()
	at := noon.Add(-time.Minute)
	k.ReportedAt = &noon
	r := readyReport()
	r.At = &at
	require.False(t, ReadReport(k, r, facts()).Changes())
}

func TestVersionsAndUpgradeFlags(t *testing.T) {
	t.Parallel()
	k := provisioned()
	k.Status, k.RoutesCreated, k.Routes, k.ReportedClass = Ready, true, Routes{}, ClassReady
	k.ActualKafkaVersion = "3.3.1"
	v := ReadReport(k, Report{Conditions: conditions("True", "KafkaUpdating", ""), KafkaVersion: "3.3.2", StrimziVersion: ""}, facts())
	require.Equal(t, Columns{"actual_kafka_version": "3.3.2", "kafka_upgrading": true}, v.Set)
}

// TestSameReportTwiceChangesNothing is what makes a resync of a whole cluster cheap.
func TestSameReportTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := provisioned()
		k.Status = rapid.SampledFrom([]Status{Provisioning, Ready, Failed, Suspending, Suspended, Resuming, Deprovision, Deleting}).Draw(t, "status")
		k.RoutesCreated = rapid.Bool().Draw(t, "created")
		if k.RoutesCreated {
			k.Routes = Routes{{"a", "b"}}
		}
		r := Report{
			Conditions: conditions(rapid.SampledFrom([]string{"True", "False", "Unknown", ""}).Draw(t, "s"),
				rapid.SampledFrom([]string{"", "Installing", "Error", "Rejected", "Suspended", "Deleted", "KafkaUpdating"}).Draw(t, "r"),
				rapid.SampledFrom([]string{"", "Cluster has insufficient resources"}).Draw(t, "m")),
			KafkaVersion: rapid.SampledFrom([]string{"", "3.3.1"}).Draw(t, "v"), AdminServerURI: "u",
			Routes: rapid.SampledFrom([][]ReportedRoute{nil, readyReport().Routes}).Draw(t, "routes"),
		}
		v := ReadReport(k, r, facts())
		after := applied(k, v)
		if v.Event == RejectedFull {
			return // the row left the cluster: the report does not reach it any more
		}
		require.False(t, ReadReport(after, r, facts()).Changes(), "%+v", ReadReport(after, r, facts()))
	})
}

// applied is the row after a verdict, as the store would write it.
func applied(k Kafka, v Verdict) Kafka {
	if v.Event != "" {
		tr, _ := transitionOf(v.Event)
		k.Status = tr.To
	}
	for column, value := range v.Set {
		switch column {
		case "routes":
			k.Routes = value.(Routes)
		case "routes_created":
			k.RoutesCreated = value.(bool)
		case "reported_class":
			k.ReportedClass = value.(Class)
		case "admin_api_server_url":
			k.AdminAPIServerURL = value.(string)
		case "actual_kafka_version":
			k.ActualKafkaVersion = value.(string)
		case "kafka_upgrading":
			k.KafkaUpgrading = value.(bool)
		case "placement_exclusions":
			k.PlacementExclusions = value.(Exclusions)
		}
	}
	return k
}
