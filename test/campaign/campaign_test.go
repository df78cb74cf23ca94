package campaign_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
)

func TestARoundIsRepeatableAlone(t *testing.T) {
	t.Setenv("CAMPAIGN", "1")
	t.Setenv("CAMPAIGN_SEED", "7")
	t.Setenv("CAMPAIGN_N", "5")
	all := campaign.Begin(t, campaign.Tier{Short: 1, Full: 100})
	require.Equal(t, []int{0, 1, 2, 3, 4}, slices.Collect(all.Rounds()))
	require.EqualValues(t, 7, all.Seed)
	fourth := all.Rand(3).Uint64()
	require.NotEqual(t, all.Rand(2).Uint64(), fourth)

	t.Setenv("CAMPAIGN_ROUND", "3")
	alone := campaign.Begin(t, campaign.Tier{Short: 1, Full: 100})
	require.Equal(t, []int{3}, slices.Collect(alone.Rounds()))
	require.Equal(t, fourth, alone.Rand(3).Uint64())
}

func TestTheShortTierIsTheSameEachTime(t *testing.T) {
	t.Setenv("CAMPAIGN", "")
	t.Setenv("CAMPAIGN_SEED", "")
	t.Setenv("CAMPAIGN_ROUND", "")
	first, second := campaign.Begin(t, campaign.Tier{Short: 4, Full: 100}), campaign.Begin(t, campaign.Tier{Short: 4, Full: 100})
	require.Equal(t, 4, first.N)
	require.False(t, first.Full)
	require.Equal(t, first.Seed, second.Seed)
}
