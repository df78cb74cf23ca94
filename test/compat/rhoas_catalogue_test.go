package compat

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// TestRhoasChecksBeforeItOrders is the whole sequence of "kafka create".
func TestRhoasChecksBeforeItOrders(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	r := newRhoas(t, h, harness.Alice)
	_, err := r.create(wish{name: "dry", size: "x2", dryRun: true})
	require.NoError(t, err)
	require.Empty(t, harness.Names(h.As(harness.Alice).List()), "a dry run is the tool's own business")
	made, err := r.create(wish{name: "checked", size: "x2"})
	require.NoError(t, err)
	require.Equal(t, "standard", made.InstanceType)
	require.Equal(t, "x2", made.SizeID)
	_, err = r.create(wish{name: "elsewhere", region: "moon-1"})
	require.ErrorContains(t, err, "not enabled")
}

// TestRhoasShowsWhatCanBeHad is "kafka providers": everything that is enabled.
func TestRhoasShowsWhatCanBeHad(t *testing.T) {
	t.Parallel()
	h := newWorld(t)
	r := newRhoas(t, h, harness.Mallory)
	r.begin()
	clouds, err := r.api.Providers(t.Context())
	require.NoError(t, err)
	offered := map[string][]string{}
	for _, cloud := range clouds {
		require.NotEmpty(t, cloud.DisplayName)
		if !cloud.Enabled {
			continue
		}
		regions, err := r.api.Regions(t.Context(), cloud.ID)
		require.NoError(t, err)
		for _, region := range regions {
			if !region.Enabled {
				continue
			}
			types, err := r.api.InstanceTypes(t.Context(), cloud.ID, region.ID)
			require.NoError(t, err)
			for _, one := range types {
				require.NotEmpty(t, one.BillingModels)
				for _, size := range one.Sizes {
					at := cloud.ID + " " + region.ID
					offered[at] = append(offered[at], one.ID+"."+size.ID)
				}
			}
		}
	}
	require.Equal(t, map[string][]string{"aws us-east-1": {"developer.x1", "standard.x1", "standard.x2"}}, offered)
	_, err = r.api.InstanceTypes(t.Context(), "moon", "sea")
	require.ErrorContains(t, err, "400 Bad Request", "to this SDK no more than a status line")
}
