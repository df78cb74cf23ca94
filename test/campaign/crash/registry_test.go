package crash

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign/fleet"
)

// registryFile has a line "<act>\t<point>" for each point.
const registryFile = "testdata/points.txt"

var update = flag.Bool("update", false, "add what a recording run hits to the registry")

// point is a line of the registry.
type point struct{ act, name string }

func registry(t *testing.T) []point {
	t.Helper()
	raw, err := os.ReadFile(registryFile)
	require.NoError(t, err)
	var all []point
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		act, name, ok := strings.Cut(line, "\t")
		require.True(t, ok, line)
		_, known := actNamed(act)
		require.True(t, known, "no act is named %s", act)
		all = append(all, point{act, name})
	}
	return all
}

func write(t *testing.T, all []point) {
	t.Helper()
	slices.SortFunc(all, func(a, b point) int { return strings.Compare(a.act+a.name, b.act+b.name) })
	var text strings.Builder
	for _, p := range all {
		text.WriteString(p.act + "\t" + p.name + "\n")
	}
	require.NoError(t, os.WriteFile(registryFile, []byte(text.String()), 0o600))
}

// TestRecord plays every act without a crash and compares the points with the registry.
func TestRecord(t *testing.T) {
	if !*update {
		t.Skip("records the registry; asked for with -update")
	}
	f := fleet.Open(t, fleet.Options{Binary: fleet.Binary(t), Replicas: 3, AccountsQuota: true})
	known := registry(t)
	for _, a := range acts() {
		f.Renew()
		f.Lead()
		for _, hit := range f.Points() { // what a start does is done by whoever is elected
			known = add(t, known, point{"election", hit})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		require.NoError(t, a.do(ctx, f, rand.New(rand.NewPCG(1, 1))), a.name)
		cancel()
		f.Complete()
		for _, hit := range f.Points() {
			known = add(t, known, point{a.name, hit})
		}
	}
	write(t, known)
}

func add(t *testing.T, known []point, found point) []point {
	t.Helper()
	if slices.ContainsFunc(known, func(p point) bool { return p.name == found.name }) {
		return known
	}
	t.Logf("%s: %s", found.act, found.name)
	return append(known, found)
}
