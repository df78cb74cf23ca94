package app

import (
	"context"
	"fmt"
	"os"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/config"
	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/ledger"
	"github.com/kas-fleet/kas-fleet-manager/internal/metricsapi"
	observatory "github.com/kas-fleet/kas-fleet-manager/internal/metricsapi/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	accountsquota "github.com/kas-fleet/kas-fleet-manager/internal/quota/ams"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	accountsinrealm "github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/keycloak"
	accountsatsso "github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/redhatsso"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/serviceaccounthttp"
)

// domain is the aggregates with what they decide by.
type domain struct {
	guard          *access.Guard
	rules          *configfile.Live[quota.Rules]
	accountsQuota  accountsquota.Provider // also where the list grants: an instance keeps the quota that it was born with
	ledger         *ledger.Store
	kafkas         *kafka.Service
	handover       kafka.Handover
	kafkaStore     *kafka.Store
	kafkaMetrics   *kafka.Metrics
	market         *catalog.Market
	furtherOwners  []string
	ssoCertificate string // PEM; empty: instances trust the system's authorities
	clusterFile    *configfile.Live[cluster.File]
	clusters       *cluster.Service
	clusterStore   *cluster.Store
	clusterMetrics *cluster.Metrics
	accounts       serviceaccounthttp.Accounts
	kept           *serviceaccount.Service // the same; nil where the SSO keeps the accounts
	exempt         *configfile.Live[serviceaccount.Exempt]
	metrics        *metricsapi.Service
}

func (a *App) openDomain(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.readFiles, a.openClusters, a.openKafkas, a.openMetrics, a.openMarket, a.openAccounts, a.openGuard} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) readFiles(context.Context) error {
	c, d := a.config, &a.domain
	known, err := catalog.Load(c.Catalog)
	if err != nil {
		return err
	}
	if d.rules, err = quota.Open(c.Quota, known, a.logger); err != nil {
		return err
	}
	if d.clusterFile, err = cluster.OpenFile(c.Cluster, a.logger); err != nil {
		return err
	}
	if d.exempt, err = serviceaccount.ReadExempt(c.ServiceAccount, a.logger); err != nil {
		return err
	}
	if c.Kafka.EnableOwnerList {
		if err := configfile.ReadYAML(c.Kafka.OwnerListFile, configfile.Fallback{}, &d.furtherOwners); err != nil {
			return fmt.Errorf("kafka-owner-list-file: %w", err)
		}
	}
	if c.SSO.Provider != config.MasSSO {
		return nil // a CA of its own is for the realm that is administered
	}
	certificate, err := os.ReadFile(configfile.Path(c.SSO.Admin.CAFile))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("mas-sso-cert-file: %w", err)
	}
	d.ssoCertificate = string(certificate)
	return nil
}

func (a *App) openClusters(context.Context) error {
	d := &a.domain
	d.ledger = ledger.NewStore(a.db)
	d.clusterStore = cluster.NewStore(a.db)
	d.clusterMetrics = cluster.NewMetrics(a.registry, a.config.Cluster)
	d.clusters = cluster.NewService(cluster.Deps{
		DB: a.db, Store: d.clusterStore, Config: a.config.Cluster, Metrics: d.clusterMetrics, Clock: clock.System, Logger: a.logger,
	})
	return nil
}

func (a *App) openKafkas(context.Context) error {
	d := &a.domain
	d.kafkaStore = kafka.NewStore(a.db)
	d.kafkaMetrics = kafka.NewMetrics(a.registry)
	d.accountsQuota = accountsquota.New(a.upstreams.ams, d.rules.Get().Catalog)
	var provider quota.Provider = quota.NewListProvider(d.rules.Get)
	if a.config.Quota.Type == quota.AMSType {
		provider = d.accountsQuota
	}
	d.kafkas = kafka.NewService(kafka.Deps{
		DB: a.db, Store: d.kafkaStore, Clusters: d.clusterStore, Rules: d.rules.Get, Quota: provider, Ledger: d.ledger, Handover: &d.handover, Keyring: a.config.Secrets.Keyring,
		Config: a.config.Kafka, Metrics: d.kafkaMetrics, Clock: clock.System, Logger: a.logger, Account: a.lookUpAccount,
		Numbers: a.upstreams.ams.AccountNumbers,
	})
	return nil
}

func (a *App) openMarket(context.Context) error {
	d := &a.domain
	d.market = catalog.NewMarket(d.rules.Get().Catalog, catalog.Fleet{Places: d.clusterStore.Places, Taken: d.kafkaStore.UnitsByRegion}, clock.System)
	return nil
}

func (a *App) openMetrics(context.Context) error {
	a.domain.metrics = metricsapi.NewService(metricsapi.Deps{
		Namespace: func(ctx context.Context, who access.Identity, id string) (string, error) {
			return a.domain.kafkas.Namespace(ctx, who, kafka.ID(id))
		},
		Backend: observatory.New(a.upstreams.metrics), Clock: clock.System, Logger: a.logger,
	})
	return nil
}

func (a *App) openAccounts(context.Context) error {
	if a.upstreams.sso != nil {
		a.domain.accounts = accountsatsso.New(a.upstreams.sso, a.logger)
		return nil
	}
	a.domain.kept = serviceaccount.NewService(serviceaccount.Deps{
		DB: a.db, Provider: accountsinrealm.New(a.upstreams.admin), Config: a.config.ServiceAccount, Exempt: a.domain.exempt,
		Clock: clock.System, Logger: a.logger,
	})
	a.domain.accounts = a.domain.kept
	return nil
}

func (a *App) openGuard(context.Context) (err error) {
	realm := a.config.SSO.Realm()
	a.domain.guard, err = access.New(a.config.Access, access.Surroundings{
		SSO:      access.Issuer{URL: realm.Issuer(), KeysURL: realm.CertsURL()},
		ClientOf: a.domain.clusterStore.ClientOf,
		Terms:    a.upstreams.ams.TermsAccepted,
		Clock:    clock.System, Logger: a.logger,
	})
	return err
}
