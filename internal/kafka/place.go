package kafka

import (
	"strings"
	"time"
)

// Candidate is what placement knows of a data-plane cluster that is ready.
type Candidate struct {
	ClusterID     string
	DNS           string
	MultiAZ       bool
	InstanceTypes string // comma-separated, like "standard,developer"
	Schedulable   bool
	Limit         int // streaming units; negative: unlimited
	Used          int
	Versions      Versions // the newest usable ones; empty: none is ready
}

// Versions are the components an instance shall run.
type Versions struct{ Strimzi, Kafka, IBP string }

// Usable tells whether the cluster can run an instance at all.
func (v Versions) Usable() bool { return v.Strimzi != "" && v.Kafka != "" && v.IBP != "" }

// Demand is what an instance needs of a cluster.
type Demand struct {
	InstanceType string
	MultiAZ      bool
	Units        int
	Exclusions   Exclusions
}

// Rank filters the candidates to those that may take the instance, in the order
// in which they should be tried: those that can run it now before those that
// still lack a version, else in the order given (oldest first). Whether there is
// still room is decided when the room is taken, in the database.
func Rank(candidates []Candidate, d Demand, now time.Time) []Candidate {
	var out, later []Candidate
	for _, c := range candidates {
		if until, ok := d.Exclusions[c.ClusterID]; ok && until.After(now) {
			continue
		}
		// A single-zone instance fits any cluster.
		if !c.Schedulable || d.MultiAZ && !c.MultiAZ || !supports(c.InstanceTypes, d.InstanceType) {
			continue
		}
		if c.Limit >= 0 && c.Used+d.Units > c.Limit {
			continue
		}
		if !c.Versions.Usable() {
			later = append(later, c)
			continue
		}
		out = append(out, c)
	}
	return append(out, later...)
}

func supports(types, wanted string) bool {
	for _, t := range strings.Split(types, ",") {
		if strings.TrimSpace(t) == wanted {
			return true
		}
	}
	return false
}
