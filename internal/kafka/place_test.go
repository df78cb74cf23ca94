package kafka

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var usable = Versions{Strimzi: "strimzi-1", Kafka: "3.3.1", IBP: "3.3"}

// roomy is a cluster that takes anything.
func roomy(id string, change ...func(*Candidate)) Candidate {
	c := Candidate{
		ClusterID: id, DNS: "apps." + id + ".example.test", MultiAZ: true, InstanceTypes: "standard,developer", Schedulable: true, Limit: -1, Versions: usable,
	}
	for _, fn := range change {
		fn(&c)
	}
	return c
}

func unready(c *Candidate) { c.Versions.IBP = "" }

func ranked(d Demand, candidates ...Candidate) []string {
	ids := []string{}
	for _, c := range Rank(candidates, d, noon) {
		ids = append(ids, c.ClusterID)
	}
	return ids
}

func TestRankTakesWhoFits(t *testing.T) {
	t.Parallel()
	two := Demand{InstanceType: "standard", MultiAZ: true, Units: 2}
	limited := func(limit, used int) func(*Candidate) {
		return func(c *Candidate) { c.Limit, c.Used = limit, used }
	}
	for name, c := range map[string]struct {
		change func(*Candidate)
		demand Demand
		taken  bool
	}{
		"no limit":                       {limited(-1, 1000), two, true},
		"room for exactly this":          {limited(5, 3), two, true},
		"one unit too few":               {limited(5, 4), two, false},
		"a limit of nothing":             {limited(0, 0), two, false},
		"nothing asked of a full one":    {limited(5, 5), Demand{InstanceType: "standard"}, true},
		"not schedulable":                {func(c *Candidate) { c.Schedulable = false }, two, false},
		"another type":                   {func(c *Candidate) { c.InstanceTypes = "developer" }, two, false},
		"part of the type's name":        {func(c *Candidate) { c.InstanceTypes = "standardised" }, two, false},
		"types with spaces":              {func(c *Candidate) { c.InstanceTypes = "developer, standard" }, two, true},
		"no types":                       {func(c *Candidate) { c.InstanceTypes = "" }, two, false},
		"single zone for several":        {func(c *Candidate) { c.MultiAZ = false }, two, false},
		"single zone for one":            {func(c *Candidate) { c.MultiAZ = false }, Demand{InstanceType: "developer", Units: 1}, true},
		"several zones for one":          {func(*Candidate) {}, Demand{InstanceType: "developer", Units: 1}, true},
		"excluded for another second":    {func(*Candidate) {}, excluding("c1", noon.Add(time.Second)), false},
		"excluded until now":             {func(*Candidate) {}, excluding("c1", noon), true},
		"another one is excluded":        {func(*Candidate) {}, excluding("c2", noon.Add(time.Hour)), true},
		"no version yet":                 {unready, two, true},
		"no version yet and not fitting": {func(c *Candidate) { unready(c); c.Schedulable = false }, two, false},
	} {
		taken := ranked(c.demand, roomy("c1", c.change))
		require.Equal(t, c.taken, len(taken) == 1, name)
	}
}

func excluding(id string, until time.Time) Demand {
	return Demand{InstanceType: "standard", Units: 1, Exclusions: Exclusions{id: until}}
}

func TestClustersWithVersionsComeFirstElseTheOldest(t *testing.T) {
	t.Parallel()
	d := Demand{InstanceType: "standard", MultiAZ: true, Units: 1}
	require.Equal(t, []string{"b", "d", "a", "c"}, ranked(d, roomy("a", unready), roomy("b"), roomy("c", unready), roomy("d")))
	require.Equal(t, []string{"a", "b"}, ranked(d, roomy("a"), roomy("b", func(c *Candidate) { c.Used = 0 })), "the order given, not the emptiest")
	require.Empty(t, ranked(d))
}

func TestOnlyAWholeSetOfVersionsIsUsable(t *testing.T) {
	t.Parallel()
	require.True(t, usable.Usable())
	for _, v := range []Versions{{}, {Kafka: "3", IBP: "3"}, {Strimzi: "s", IBP: "3"}, {Strimzi: "s", Kafka: "3"}} {
		require.False(t, v.Usable(), "%+v", v)
	}
}

func TestExclusionsThatEndedAreForgotten(t *testing.T) {
	t.Parallel()
	until := noon.Add(time.Minute)
	before := Exclusions{"over": noon, "holds": noon.Add(time.Second), "again": noon.Add(time.Hour)}
	require.Equal(t, Exclusions{"holds": noon.Add(time.Second), "again": until}, before.with("again", until, noon))
	require.Len(t, before, 3, "the row that was read stays as it is")
	require.Equal(t, Exclusions{"c1": until}, Exclusions(nil).with("c1", until, noon))
}
