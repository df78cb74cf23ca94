package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a report may do when the agent that sends it is broken, or not ours any more.

func TestAClockThatRunsAheadSilencesNobody(t *testing.T) {
	t.Parallel()
	k := provisioned()
	k.Routes, k.RoutesCreated = Routes{{"a", "b"}}, true
	ahead := noon.AddDate(1, 0, 0)
	r := readyReport()
	r.At = &ahead
	v := ReadReport(k, r, facts())
	require.Equal(t, BecameReady, v.Event, "what it says still counts")
	require.NotContains(t, v.Set, "reported_at", "when it says it does not")

	k.ReportedAt = &ahead // as an older build stored it
	for _, at := range []*time.Time{nil, &noon, &ahead} {
		r.At = at
		require.Equal(t, BecameReady, ReadReport(k, r, facts()).Event)
	}
	soon := noon.Add(clockTolerance)
	r.At, k.ReportedAt = &soon, nil
	require.Equal(t, soon, ReadReport(k, r, facts()).Set["reported_at"], "clocks differ a little")
}

func TestAnInstanceThatLeavesAClusterForgetsTheClockOfThatCluster(t *testing.T) {
	t.Parallel()
	k := provisioned()
	at := noon.Add(clockTolerance)
	v := ReadReport(k, Report{Conditions: conditions("False", "Rejected", "Cluster has insufficient resources"), At: &at}, facts())
	require.Equal(t, RejectedFull, v.Event)
	require.Contains(t, v.Set, "reported_at")
	require.Nil(t, v.Set["reported_at"])
}

func TestRoutesThatMakeNoNamesAreRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	const router = "kas.c1.example.test"
	many := []ReportedRoute{}
	for i := range maxRoutes + 1 {
		many = append(many, ReportedRoute{Prefix: fmt.Sprintf("broker-%d", i), Router: router})
	}
	one := func(prefix string) []ReportedRoute {
		return []ReportedRoute{{Prefix: "admin-server", Router: router}, {Prefix: prefix, Router: router}}
	}
	for name, routes := range map[string][]ReportedRoute{
		"one too many":          many,
		"a prefix of 6 kB":      one(strings.Repeat("x", 6<<10)),
		"a label of 64":         one(strings.Repeat("x", maxLabel-len("-k-k1")+1)),
		"the same twice":        one("admin-server"),
		"no prefix twice":       {{Prefix: "", Router: router}, {Prefix: "", Router: router}},
		"a dot":                 one("a.b"),
		"a wildcard":            one("*"),
		"a slash":               one("a/b"),
		"a space":               one("a b"),
		"capitals":              one("Broker"),
		"an underscore":         one("_dmarc"),
		"a dash at the end":     one("broker-"),
		"a dash at the start":   one("-broker"),
		"a line break":          one("broker\n"),
		"a NUL":                 one("broker\x00"),
		"letters beyond ASCII":  one("brökér"),
		"no UTF-8":              one("broker\xff"),
		"a router of 6 kB":      {{Router: strings.Repeat("x", 6<<10)}},
		"a router beside ours":  {{Router: "kas.c1.example.test.evil.test"}},
		"a router without text": {{Router: ""}},
	} {
		r := readyReport()
		r.Routes = routes
		v := ReadReport(provisioned(), r, facts())
		require.NotContains(t, v.Set, "routes", name)
		require.Empty(t, v.Records, name)
		require.Contains(t, v.Ignored, "reading routes", name)
		require.Less(t, len(v.Ignored), 600, "%s: the log shows the beginning of it", name)
		require.Equal(t, ClassReady, v.Set["reported_class"], "%s: the rest of the report counts", name)
	}
	r := readyReport()
	r.Routes = append(many[:maxRoutes-2], ReportedRoute{Prefix: "", Router: router}, ReportedRoute{Prefix: strings.Repeat("x", maxLabel-len("-k-k1")), Router: "c1.example.test"})
	require.Len(t, ReadReport(provisioned(), r, facts()).Records, maxRoutes)
}

func TestTheHistoryShowsNothingThatAnAgentWrote(t *testing.T) {
	t.Parallel()
	const words = "marker of the agent"
	for _, status := range []Status{Provisioning, Ready, Failed, Suspending, Resuming, Deprovision} {
		for _, reason := range []string{"", "Error", "Rejected", "Suspended", "Deleted"} {
			k := provisioned()
			k.Status, k.RoutesCreated, k.Routes = status, true, Routes{{"a", "b"}}
			for _, ready := range []string{"True", "False"} {
				v := ReadReport(k, Report{Conditions: conditions(ready, reason, words), AdminServerURI: words, KafkaVersion: words}, facts())
				require.NotContains(t, v.Reason, words)
				require.NotEqual(t, words, v.Set["failed_reason"])
			}
		}
	}
}
