package catalog_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
)

// fleet counts how often it is looked at, and may fail or take its time.
type fleet struct {
	places, taken atomic.Int64
	err           atomic.Pointer[error]
	gate          chan struct{} // nil: no waiting
}

func (f *fleet) market(t *testing.T, providers string) *catalog.Market {
	t.Helper()
	c, err := load(t, "", providers)
	require.NoError(t, err)
	return catalog.NewMarket(c, catalog.Fleet{
		Places: func(ctx context.Context) ([]catalog.Place, error) {
			f.places.Add(1)
			if f.gate != nil {
				select {
				case <-f.gate:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			if err := f.err.Load(); err != nil {
				return nil, *err
			}
			return []catalog.Place{place("aws", "us-east-1", nil)}, nil
		},
		Taken: func(context.Context) ([]catalog.Taken, error) {
			return []catalog.Taken{{Provider: "aws", Region: "us-east-1", InstanceType: "standard", Units: int(f.taken.Add(1))}}, nil
		},
	}, clock.System)
}

func TestAPollCostsNothingUntilTheLookIsOld(t *testing.T) {
	t.Parallel()
	providers := manyRegions
	synctest.Test(t, func(t *testing.T) {
		var f fleet
		m := f.market(t, providers)
		look := func() []string {
			regions, err := m.Regions(t.Context(), "aws")
			require.NoError(t, err)
			return sizesOf([]catalog.ProviderOffer{{ID: "aws", Regions: regions}}, "aws", "us-east-1", "standard")
		}
		require.Equal(t, []string{"x1", "x2"}, look())
		<-time.After(1999 * time.Millisecond)
		for range 100 {
			require.Equal(t, []string{"x1", "x2"}, look())
		}
		require.EqualValues(t, 1, f.taken.Load())
		<-time.After(time.Millisecond)
		require.Equal(t, []string{"x1"}, look())
		require.EqualValues(t, 2, f.places.Load())
		unknown, err := m.Regions(t.Context(), "moon")
		require.NoError(t, err)
		require.Empty(t, unknown)
	})
}

func TestUsageIsNotReadWhereNoRegionHasALimit(t *testing.T) {
	t.Parallel()
	var f fleet
	_, err := f.market(t, "").Providers(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, f.places.Load())
	require.Zero(t, f.taken.Load())
}

func TestAFailedLookIsNotKept(t *testing.T) {
	t.Parallel()
	var f fleet
	m := f.market(t, manyRegions)
	broken := errors.New("the database is away")
	f.err.Store(&broken)
	for range 2 {
		_, err := m.Providers(t.Context())
		require.ErrorIs(t, err, broken)
	}
	f.err.Store(nil)
	offers, err := m.Providers(t.Context())
	require.NoError(t, err)
	require.Len(t, offers, 2)
	require.EqualValues(t, 3, f.places.Load())
}

func TestManyWhoAskAtOnceLookOnce(t *testing.T) {
	t.Parallel()
	providers := manyRegions
	synctest.Test(t, func(t *testing.T) {
		f := fleet{gate: make(chan struct{})}
		m := f.market(t, providers)
		var all sync.WaitGroup
		impatient, giveUp := context.WithCancel(t.Context())
		for i := range 50 {
			all.Go(func() {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = impatient
				}
				_, err := m.Providers(ctx)
				if i%2 == 0 {
					require.ErrorIs(t, err, context.Canceled)
				} else {
					require.NoError(t, err)
				}
			})
		}
		synctest.Wait()
		require.EqualValues(t, 1, f.places.Load())
		giveUp() // those who wait go; if it was one of them who looked, another one does
		synctest.Wait()
		close(f.gate)
		all.Wait()
		require.LessOrEqual(t, f.places.Load(), int64(26))
		before := f.places.Load()
		_, err := m.Providers(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, f.places.Load())
	})
}
