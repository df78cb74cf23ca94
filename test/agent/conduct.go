package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Fate is what becomes of an instance on the cluster.
type Fate string

// The fates. Rejections strike only an instance that is not made yet, as on a real cluster.
const (
	Healthy      Fate = ""
	Stuck        Fate = "never-ready"
	Broken       Fate = "error"
	Rejected     Fate = "rejected"
	RejectedFull Fate = "rejected-full"
)

// Manner is how the agent speaks of what it sees.
type Manner string

// The manners. All but Silent say the truth too, so that the fleet manager can still get on.
const (
	Honest        Manner = ""
	Silent        Manner = "silent"        // sends no report at all, but polls
	Stale         Manner = "stale"         // sends the report before the present one after it
	Duplicate     Manner = "duplicate"     // sends every report twice
	Foreign       Manner = "foreign"       // also reports instances of other clusters as ready
	Contradictory Manner = "contradictory" // follows the true condition with its opposites
	Huge          Manner = "huge"          // buries the truth under a megabyte of nonsense
)

// Fates lists every fate but Healthy, and Manners every manner but Honest.
func Fates() []Fate { return []Fate{Stuck, Broken, Rejected, RejectedFull} }

// Manners lists the ill-behaved manners.
func Manners() []Manner { return []Manner{Silent, Stale, Duplicate, Foreign, Contradictory, Huge} }

// conduct is what the agent was told about its behaviour.
type conduct struct {
	fate    Fate            // of instances that have none of their own
	fates   map[string]Fate // by Kafka id
	manner  Manner
	foreign []string // ids that Foreign claims
}

func (c conduct) fateOf(id string) Fate {
	if fate, ok := c.fates[id]; ok {
		return fate
	}
	return c.fate
}

// SetFate decides what becomes of the named instances, or of all others when none is named.
// It also takes an earlier decision back: a broken instance recovers with Healthy.
func (a *Agent) SetFate(fate Fate, ids ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(ids) == 0 {
		a.conduct.fate = fate
	}
	for _, id := range ids {
		a.conduct.fates[id] = fate
	}
	for _, i := range a.instances {
		if i.due.IsZero() && !i.busy {
			i.due = time.Now()
		}
	}
	a.nudge()
}

// SetManner decides how the agent speaks from now on. Only Foreign looks at the ids.
func (a *Agent) SetManner(manner Manner, foreign ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conduct.manner, a.conduct.foreign = manner, slices.Clone(foreign)
}

// utter gives the bodies to send, in order, for the true report and the one before it.
func (a *Agent) utter(report, previous map[string]Status) []map[string]Status {
	switch a.conduct.manner {
	case Silent:
		return nil
	case Stale:
		if len(previous) > 0 {
			return []map[string]Status{report, previous}
		}
	case Duplicate:
		return []map[string]Status{report, report}
	case Foreign:
		return []map[string]Status{a.withForeign(report)}
	case Contradictory:
		return []map[string]Status{contradicted(report)}
	case Huge:
		return []map[string]Status{swollen(report)}
	case Honest:
	}
	return []map[string]Status{report}
}

func (a *Agent) withForeign(report map[string]Status) map[string]Status {
	out := maps.Clone(report)
	for _, id := range a.conduct.foreign {
		claim := Status{Conditions: []Condition{condition("True", "", "")}, Routes: a.routes()}
		out[id] = stamped(claim, a.stamp())
	}
	return out
}

func contradicted(report map[string]Status) map[string]Status {
	out := maps.Clone(report)
	for id, s := range out {
		s.Conditions = append(slices.Clone(s.Conditions),
			condition("True", "Deleted", "everything is fine"),
			condition("False", "Error", "nothing works"),
			condition("Unknown", "Rejected", insufficientResources),
			Condition{Type: "StrimziBundleReady", Status: "False"},
		)
		out[id] = s
	}
	return out
}

// swollen adds about a megabyte: within a sane limit for bodies, far above a sane report.
func swollen(report map[string]Status) map[string]Status {
	out := maps.Clone(report)
	padding := strings.Repeat("nonsense ", 100)
	for n := range 1000 {
		out[fmt.Sprintf("no-such-instance-%d", n)] = Status{Conditions: []Condition{condition("False", "Error", padding)}}
	}
	return out
}
