package catalog

import (
	"errors"
	"fmt"
	"slices"
)

// Unlimited is the number of units of a cluster without a limit.
const Unlimited = -1

// ClusterCapacity is what a cluster of the data plane file offers.
type ClusterCapacity struct {
	Provider, Region string
	Units            int // streaming units over all types, or Unlimited
	Types            []string
	Schedulable      bool
}

// CheckManual tells where region limits promise what the clusters of the data
// plane file cannot hold, or leave capacity that nobody may use. Types without a
// limit and closed ones (limit 0) promise nothing. An unlimited cluster lifts
// the bounds that it takes part in.
func (c *Catalog) CheckManual(clusters []ClusterCapacity) error {
	var problems []error
	for _, p := range c.providers {
		for _, r := range p.Regions {
			if err := r.checkManual(p.Name, clusters); err != nil {
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(problems...)
}

func (r Region) checkManual(provider string, clusters []ClusterCapacity) error {
	here := func(c ClusterCapacity) bool {
		return c.Schedulable && c.Provider == provider && c.Region == r.Name
	}
	whole, bounded := units(clusters, here)
	var problems []error
	complain := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("region limits of %s/%s: "+format, append([]any{provider, r.Name}, args...)...))
	}
	sum, all := 0, true
	for _, t := range r.Types {
		if !t.Limit.Limited || t.Limit.Closed() {
			all = false
			continue
		}
		sum += t.Limit.Units
		most, mostBounded := units(clusters, func(c ClusterCapacity) bool { return here(c) && slices.Contains(c.Types, t.ID) })
		least, _ := units(clusters, func(c ClusterCapacity) bool { return here(c) && len(c.Types) == 1 && c.Types[0] == t.ID })
		switch {
		case len(r.Types) == 1 && bounded && t.Limit.Units != whole:
			complain("the limit of %s is %d, but schedulable clusters hold %d", t.ID, t.Limit.Units, whole)
		case len(r.Types) > 1 && (t.Limit.Units < least || mostBounded && t.Limit.Units > most):
			complain("the limit of %s is %d, but clusters only for it hold %d and clusters that accept it hold %d", t.ID, t.Limit.Units, least, most)
		}
	}
	if len(r.Types) > 1 && all && bounded && sum != whole {
		complain("the limits add up to %d, but schedulable clusters hold %d", sum, whole)
	}
	return errors.Join(problems...)
}

// units adds up the clusters; bounded is false when one of them has no limit.
func units(clusters []ClusterCapacity, counts func(ClusterCapacity) bool) (sum int, bounded bool) {
	bounded = true
	for _, c := range clusters {
		switch {
		case !counts(c):
		case c.Units == Unlimited:
			bounded = false
		default:
			sum += c.Units
		}
	}
	return sum, bounded
}
