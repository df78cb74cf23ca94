package serviceaccount

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Deps are what the use cases work with.
type Deps struct {
	DB       *db.DB
	Provider Provider
	Config   Config
	Exempt   *configfile.Live[Exempt]
	Clock    clock.Clock
	Logger   *slog.Logger
}

// Service is the use cases of service accounts that the fleet manager keeps itself.
type Service struct{ Deps }

// NewService makes the use cases.
func NewService(d Deps) *Service { return &Service{d} }

// List gives a part of the organisation's accounts, the oldest first, and how many there are.
func (s *Service) List(ctx context.Context, who access.Identity, offset, limit int) (part []Account, total int, err error) {
	all, err := s.Provider.List(ctx, who.OrgID)
	if err != nil {
		return nil, 0, err
	}
	// The SSO's order is by random ids: a new account would appear on any page.
	slices.SortFunc(all, func(a, b Account) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	first := min(offset, len(all))
	return all[first:min(first+limit, len(all))], len(all), nil
}

// Find gives the accounts with a client id: one or none.
func (s *Service) Find(ctx context.Context, who access.Identity, clientID string) ([]Account, error) {
	if err := checkClientID(clientID); err != nil {
		return nil, err
	}
	found, err := s.Provider.Get(ctx, Ref{ClientID: clientID})
	if apierr.Is(err, apierr.AccountNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := found.check(who, toRead); err != nil {
		return nil, err
	}
	return []Account{found}, nil
}

// Get gives one account.
func (s *Service) Get(ctx context.Context, who access.Identity, id string) (Account, error) {
	return s.get(ctx, who, id, toRead)
}

func (s *Service) get(ctx context.Context, who access.Identity, id string, wanted right) (Account, error) {
	if err := CheckID(id); err != nil {
		return Account{}, err
	}
	found, err := s.Provider.Get(ctx, Ref{ID: id})
	if err != nil {
		return Account{}, err
	}
	if err := found.check(who, wanted); err != nil {
		return Account{}, err
	}
	return found, nil
}

// Reset gives an account a new secret. The old one is worth nothing any more.
func (s *Service) Reset(ctx context.Context, who access.Identity, id string) (Account, error) {
	account, err := s.get(ctx, who, id, toChange)
	if err != nil {
		return Account{}, err
	}
	if account.Secret, err = s.Provider.Reset(ctx, account); err != nil {
		return Account{}, err
	}
	return account, nil
}
