package agents

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// What a report can mean.
const (
	meansReady      = "ready"
	meansInstalling = "installing"
	meansError      = "error"
	meansDeleted    = "deleted"
	meansRejected   = "rejected"
	meansFull       = "rejected_cluster_full"
	meansSuspended  = "suspended"
	meansUnknown    = "unknown"
)

// phrase is a list of conditions and what it is made to mean.
type phrase struct {
	means      string
	conditions []agent.Condition
	silent     bool   // it has no condition named Ready
	message    string // of the first condition named Ready
	upgrading  string // strimzi, kafka or ibp
}

func says(status, reason, message string) agent.Condition {
	return agent.Condition{Type: "Ready", Status: status, Reason: reason, Message: message}
}

func other(status, reason string) agent.Condition {
	return agent.Condition{Type: "Healthy", Status: status, Reason: reason, Message: "beside the point"}
}

// phrases are what agents say. Those that mean ready come more than once: a life
// that gets nowhere shows little.
var phrases = []phrase{
	{means: meansReady, conditions: []agent.Condition{says("True", "", "")}},
	{means: meansReady, conditions: []agent.Condition{says("true", "Whatever", "all is well")}, message: "all is well"},
	{means: meansReady, conditions: []agent.Condition{says("True", "StrimziUpdating", "")}, upgrading: "strimzi"},
	{means: meansReady, conditions: []agent.Condition{says("True", "KafkaUpdating", "")}, upgrading: "kafka"},
	{means: meansReady, conditions: []agent.Condition{says("True", "KafkaIbpUpdating", "")}, upgrading: "ibp"},
	{means: meansInstalling, conditions: []agent.Condition{says("False", "Installing", "")}},
	{means: meansInstalling, conditions: []agent.Condition{says("False", "Paused", "asleep")}, message: "asleep"},
	{means: meansInstalling, conditions: []agent.Condition{other("True", "")}, silent: true},
	{means: meansInstalling, silent: true},
	{means: meansError, conditions: []agent.Condition{says("False", "Error", "the brokers crash")}, message: "the brokers crash"},
	{means: meansError, conditions: []agent.Condition{says("False", "error", "")}},
	{means: meansDeleted, conditions: []agent.Condition{says("False", "Deleted", "")}},
	{means: meansDeleted, conditions: []agent.Condition{other("True", ""), says("False", "Deleted", "")}},
	{means: meansUnknown, conditions: []agent.Condition{says("Unknown", "Deleted", "on its way")}, message: "on its way"},
	{means: meansUnknown, conditions: []agent.Condition{says("Unknown", "", "")}},
	{means: meansRejected, conditions: []agent.Condition{says("False", "Rejected", "does not fit")}, message: "does not fit"},
	{means: meansFull, conditions: []agent.Condition{says("False", "Rejected", "Cluster has insufficient resources")}, message: "Cluster has insufficient resources"},
	{means: meansSuspended, conditions: []agent.Condition{says("False", "Suspended", "")}},
	{means: meansSuspended, conditions: []agent.Condition{says("True", "Suspended", "")}},
	// Contradictions: the first condition that says anything counts, the first of all gives the message.
	{means: meansReady, conditions: []agent.Condition{says("False", "Paused", "first"), says("True", "", "second")}, message: "first"},
	{means: meansReady, conditions: []agent.Condition{says("True", "", ""), says("False", "Error", "second")}},
	{means: meansError, conditions: []agent.Condition{says("False", "Error", "first"), says("True", "", "second")}, message: "first"},
	{means: meansDeleted, conditions: []agent.Condition{says("False", "Deleted", ""), says("True", "", "")}},
	{means: meansReady, conditions: []agent.Condition{other("False", "Error"), says("True", "", "")}},
}

// When a report claims to have been made.
const (
	fresh   = iota // now
	equal          // with the last one that was believed
	justOld        // a microsecond before that
	old            // an hour before that
	ahead          // in half a minute: clocks differ
	far            // in an hour: no clock at all
	timeless
	garbled
	whens
)

// said is a report as it is drawn. Its numbers choose from the lists here.
type said struct {
	Phrase, When, Versions, Routes, Admin int
}

// apt are phrases, by their place in the list, that get an instance somewhere.
var apt = map[string][]int{
	provisioning: {0, 15, 16}, ready: {0, 9, 17}, failed: {0}, suspending: {17}, suspended: {0}, resuming: {0, 9}, deprovision: {0, 11}, ending: {0, 11},
}

func drawSaid(t *rapid.T, label, status string) said {
	phrase := rapid.SampledFrom(apt[status]).Draw(t, label+" apt")
	if rapid.Bool().Draw(t, label+" not apt") {
		phrase = rapid.IntRange(0, len(phrases)-1).Draw(t, label+" phrase")
	}
	return said{
		Phrase:   phrase,
		When:     rapid.SampledFrom([]int{fresh, fresh, fresh, fresh, equal, justOld, old, ahead, far, timeless, garbled}).Draw(t, label+" when"),
		Versions: rapid.IntRange(0, 2).Draw(t, label+" versions"),
		Routes:   rapid.SampledFrom([]int{0, 1, 1, 1, 2, 3, 4, 5}).Draw(t, label+" routes"),
		Admin:    rapid.IntRange(0, 2).Draw(t, label+" admin"),
	}
}

func (s said) phrase() phrase { return phrases[s.Phrase] }

func (s said) versions() *agent.Versions {
	return []*agent.Versions{
		nil,
		{Kafka: "3.3.1", Strimzi: "strimzi-cluster-operator.v0.26.0-11", KafkaIbp: "3.3"},
		{Kafka: "3.4.0", KafkaIbp: "3.4"}, // and nothing of Strimzi
	}[s.Versions]
}

func (s said) admin() string {
	return []string{"", "https://admin-one.example.test", "https://admin-two.example.test"}[s.Admin]
}

// routes gives the routes, and whether all of them may be believed.
func (s said) routes(clusterID string) (routes []agent.Route, good bool) {
	base := "mk-" + clusterID[len(clusterID)-2:] + ".example.test"
	bootstrap := agent.Route{Name: "bootstrap", Prefix: "", Router: "kas." + base}
	switch s.Routes {
	case 1:
		return []agent.Route{{Name: "admin-server", Prefix: "admin-server", Router: "kas." + base}, bootstrap}, true
	case 2:
		return []agent.Route{bootstrap, {Name: "broker-0", Prefix: "broker-0", Router: "kas-a." + base}}, true
	case 3: // of somebody else
		return []agent.Route{bootstrap, {Name: "broker-0", Prefix: "broker-0", Router: "kas.evil.test"}}, false
	case 4: // twice the same name
		return []agent.Route{bootstrap, {Name: "again", Prefix: "", Router: "kas-b." + base}}, false
	case 5: // no name at all
		return []agent.Route{{Name: "broker-0", Prefix: "broker.0", Router: "kas." + base}}, false
	}
	return nil, false
}

// report is something said at a time, as it can be sent again later.
type report struct {
	said    said
	from    string    // the cluster
	claimed time.Time // zero: no time that can be believed
	wire    agent.Status
}

func clusterIDs() []string { return []string{harness.ClusterOne, harness.ClusterTwo} }

// utter gives the report a time. last is that of the last report of the instance
// that was believed.
func (s said) utter(from string, now, last time.Time) report {
	r := report{said: s, from: from}
	if last.IsZero() {
		last = now
	}
	text := ""
	switch s.When {
	case fresh:
		r.claimed = now
	case equal:
		r.claimed = last
	case justOld:
		r.claimed = last.Add(-time.Microsecond)
	case old:
		r.claimed = last.Add(-time.Hour)
	case ahead:
		r.claimed = now.Add(30 * time.Second)
	case far:
		text = now.Add(time.Hour).Format(time.RFC3339Nano)
	case garbled:
		text = "yesterday"
	}
	if !r.claimed.IsZero() {
		text = r.claimed.Format(time.RFC3339Nano)
	}
	routes, _ := s.routes(from)
	r.wire = agent.Status{
		Conditions: s.phrase().conditions, Versions: s.versions(), Routes: routes, AdminServerURI: s.admin(), UpdatedTimestamp: text,
	}
	return r
}

// String is how a failure shows a report.
func (r report) String() string {
	return fmt.Sprintf("%s %+v at %s, versions %d, routes %d, admin server %d",
		r.said.phrase().means, r.wire.Conditions, r.wire.UpdatedTimestamp, r.said.Versions, r.said.Routes, r.said.Admin)
}
