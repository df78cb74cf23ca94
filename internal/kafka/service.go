package kafka

import (
	"context"
	"errors"
	"log/slog"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
)

// Account is what the accounts service knows of a user.
type Account struct {
	ID             string
	Username       string
	OrganisationID string
	Banned         bool
}

// Deps are what the use cases work with.
type Deps struct {
	DB       *db.DB
	Store    *Store
	Clusters *cluster.Store
	Rules    func() quota.Rules // the present snapshot of quota, catalogue and limits
	Quota    quota.Provider     // grants quota to new instances
	Ledger   *ledger.Store
	Handover *Handover // nil: no loop runs here
	Keyring  *db.Keyring
	Config   Config
	Metrics  *Metrics
	Clock    clock.Clock
	Logger   *slog.Logger
	// Account looks a user up at the accounts service.
	Account func(ctx context.Context, username string) (Account, bool, error)
	// Numbers gives the billing system's numbers of organisations: of those that have
	// one and, with an error, of those that are known nevertheless.
	Numbers func(ctx context.Context, organisations []string) (map[string]string, error)
}

// Service is the use cases of instances.
type Service struct{ Deps }

// NewService makes the use cases.
func NewService(d Deps) *Service {
	if d.Handover == nil {
		d.Handover = &Handover{}
	}
	return &Service{d}
}

// staleRetries is how often a use case reads a row anew that changed under it.
// Each try loses only against somebody who won, so the bound is never the limit in practice.
const staleRetries = 5

// retryStale runs fn again while somebody else was faster.
func retryStale(fn func() error) error {
	var err error
	for range staleRetries {
		if err = fn(); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return apierr.Wrap(apierr.General, err, "")
}
