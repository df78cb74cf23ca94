package catalog

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
)

// freshFor is how old an offer may be when it is shown. It is short enough for
// people, who look before they order, and long enough that any number of clients
// that poll cost two small queries.
const freshFor = 2 * time.Second

// Fleet tells what lives now. The funcs are other parts' since the catalogue
// knows no rows.
type Fleet struct {
	Places func(ctx context.Context) ([]Place, error)
	Taken  func(ctx context.Context) ([]Taken, error)
}

// Market keeps what can be ordered where, for a moment.
type Market struct {
	*Catalog

	fleet Fleet
	clock clock.Clock
	turn  chan struct{} // whoever holds it looks at the fleet; the others wait for what it finds
	last  atomic.Pointer[sight]
}

// sight is what the fleet allowed at a time.
type sight struct {
	at     time.Time // before the look began
	offers []ProviderOffer
}

// NewMarket makes an empty market; the first question fills it.
func NewMarket(c *Catalog, fleet Fleet, now clock.Clock) *Market {
	return &Market{Catalog: c, fleet: fleet, clock: now, turn: make(chan struct{}, 1)}
}

// Providers gives all cloud providers. Callers share the values: read them only.
func (m *Market) Providers(ctx context.Context) ([]ProviderOffer, error) {
	if s := m.fresh(); s != nil {
		return s.offers, nil
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s := m.fresh(); s != nil {
		return s.offers, nil
	}
	s, err := m.look(ctx)
	if err != nil {
		return nil, err // kept for nobody: the next caller looks again
	}
	m.last.Store(s)
	return s.offers, nil
}

// Regions gives the regions of a provider, none for an unknown one.
func (m *Market) Regions(ctx context.Context, provider string) ([]RegionOffer, error) {
	offers, err := m.Providers(ctx)
	if err != nil {
		return nil, err
	}
	offer, _ := find(offers, func(o ProviderOffer) bool { return o.ID == provider })
	return offer.Regions, nil
}

func (m *Market) fresh() *sight {
	s := m.last.Load()
	if s == nil {
		return nil
	}
	// A clock that was set back must not keep an old look for ever.
	if age := m.clock().Sub(s.at); age < 0 || age >= freshFor {
		return nil
	}
	return s
}

func (m *Market) look(ctx context.Context) (*sight, error) {
	at := m.clock()
	places, err := m.fleet.Places(ctx)
	if err != nil {
		return nil, err
	}
	var taken []Taken
	if m.Limited() {
		if taken, err = m.fleet.Taken(ctx); err != nil {
			return nil, err
		}
	}
	return &sight{at: at, offers: m.Offers(places, taken)}, nil
}
